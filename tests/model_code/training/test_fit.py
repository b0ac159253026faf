"""The parts of the training loop that are easy to get silently wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model_code import calibration
from model_code.errors import TrainingError
from model_code.training import fit
from model_code.training.checkpoint import Checkpoints
from model_code.training.dataset import Samples, quantised
from model_code.training.distributed import Worker
from model_code.training.fit import Best, Progress, answers, class_weights
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.metrics import measure

LABELS = ("dark", "bright")
SIZE = 64
ALONE = Worker(0, 1, torch.device("cpu"))


def test_every_class_weighs_the_same_and_an_absent_one_nothing() -> None:
    weights = class_weights(torch.tensor([3, 1, 0]))
    assert weights.tolist() == pytest.approx([2 / 3, 2, 0])


def two_classes(slices: int) -> Samples:
    """Bright or dark squares."""
    generator = torch.Generator().manual_seed(slices)
    targets = torch.arange(slices) % 2
    images = torch.rand(slices, 1, SIZE, SIZE, generator=generator) * 0.2 + targets[:, None, None, None] * 0.6
    return Samples(quantised(images), targets)


def train(folder: Path, training: Samples, validation: Samples, **settings: int) -> tuple[Best, list[dict[str, float]]]:
    return fit.fit(
        training,
        validation,
        LABELS,
        Hyperparameters(image_size=SIZE, **settings),  # type: ignore[arg-type]
        ALONE,
        Checkpoints(folder, settings),
    )


def test_what_is_learnt_holds_in_evaluation_mode(tmp_path: Path) -> None:
    validation = two_classes(6)
    best, history = train(tmp_path, two_classes(24), validation, epochs=2)
    assert len(history) == 2
    metrics = best.metrics(LABELS)
    assert metrics is not None
    assert metrics.accuracy == 1
    learner = fit.Learner(torch.ones(2), 1, Hyperparameters(image_size=SIZE), ALONE)
    learner.network.load_state_dict(best.weights)
    again = measure(calibration.probabilities(answers(learner.network, validation), 1.0), validation.targets, LABELS)
    assert again.loss == pytest.approx(metrics.loss, rel=1e-6)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    best, history = train(tmp_path, two_classes(4), two_classes(0), epochs=2)
    assert (best.metrics(LABELS), best.epoch, len(history)) == (None, 2, 2)
    assert history[0].keys() == {"epoch", "train_loss", "train_seconds", "epoch_seconds"}


def test_the_same_seed_gives_the_same_network_and_another_seed_another(tmp_path: Path) -> None:
    one, same, other = (
        train(tmp_path / str(number), two_classes(8), two_classes(4), epochs=1, seed=seed)[0].weights
        for number, seed in enumerate((4, 4, 5))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = torch.tensor([0, 1])
    right = torch.tensor([[4.0, 0.0], [0.0, 4.0]]).double()
    given = iter([right / 2, right, -right])
    monkeypatch.setattr(fit, "answers", lambda _network, _samples: next(given))
    best, history = train(tmp_path, two_classes(4), replace(two_classes(2), targets=targets), epochs=3)
    assert (best.epoch, len(history)) == (2, 3)
    assert torch.equal(best.logits, right)


def best_at(epoch: int) -> Best:
    return Best(epoch, {}, torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize(
    ("best", "epoch", "ended"),
    [(3, 12, False), (3, 21, False), (3, 22, True), (20, 29, False), (20, 30, True), (39, 39, False), (39, 40, True)],
)
def test_it_ends_early_only_once_the_learning_rate_falls(best: int, epoch: int, ended: bool) -> None:
    assert Progress(epoch, best_at(best)).ended(epochs=40) is ended


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit.Learner, "step", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match=r"loss of epoch 1 is nan: training diverges\. Lower learning_rate"):
        train(tmp_path, two_classes(4), two_classes(2), epochs=1)


def test_logits_do_not_depend_on_the_batch() -> None:
    learner = fit.Learner(torch.ones(3), 1, Hyperparameters(image_size=SIZE), ALONE)
    samples = two_classes(18)
    together = answers(learner.network, samples)
    torch.testing.assert_close(answers(learner.network, samples.part(slice(17, 18))), together[17:], atol=1e-5, rtol=0)
    assert answers(learner.network, samples.part(slice(0))).shape == (0, 3)
