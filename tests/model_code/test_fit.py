"""The parts of the training loop that are easy to get silently wrong."""

from __future__ import annotations

import pytest
import torch

from model_code import network
from model_code.fit import Samples, batches_per_epoch, class_weights, evaluate, fit
from model_code.hyperparameters import Hyperparameters
from model_code.transforms import Preprocessing, augmentation


def test_every_class_weighs_the_same_and_an_absent_one_nothing() -> None:
    targets = torch.tensor([0, 0, 0, 1])
    weights = class_weights(targets, 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2, 0])
    assert weights[targets].mean().item() == pytest.approx(1)


@pytest.mark.parametrize(("slices", "batch", "expected"), [(8, 4, 2), (9, 4, 2), (10, 4, 3), (3, 8, 1)])
def test_a_last_batch_of_one_slice_is_left_out(slices: int, batch: int, expected: int) -> None:
    assert batches_per_epoch(slices, batch) == expected


def two_classes(slices: int) -> Samples:
    """Bright or dark squares."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(slices) % 2
    images = torch.rand(slices, 1, 64, 64, generator=generator) * 0.2 + targets[:, None, None, None] * 0.6
    return Samples(images, targets)


def test_what_is_learnt_holds_in_evaluation_mode() -> None:
    labels = ("dark", "bright")
    training, validation = two_classes(12), two_classes(6)
    settings = Hyperparameters(epochs=2, batch_size=4, image_size=64, labels=labels)
    fitted = fit(training, validation, augmentation(Preprocessing(image_size=64), 0), settings)
    assert not fitted.network.training
    assert fitted.metrics is not None
    assert fitted.metrics.accuracy == 1
    assert evaluate(fitted.network, validation, labels) == fitted.metrics


def test_without_validation_the_last_epoch_is_kept() -> None:
    settings = Hyperparameters(epochs=2, batch_size=4, image_size=64, labels=("dark", "bright"))
    nothing = Samples(torch.empty(0, 1, 64, 64), torch.empty(0, dtype=torch.long))
    fitted = fit(two_classes(4), nothing, augmentation(Preprocessing(image_size=64), 0), settings)
    assert (fitted.metrics, fitted.best_epoch, fitted.epochs) == (None, 2, 2)


def test_the_same_seed_gives_the_same_network() -> None:
    settings = Hyperparameters(epochs=1, batch_size=4, image_size=64, labels=("dark", "bright"), seed=4)
    runs = [
        fit(two_classes(8), two_classes(4), augmentation(Preprocessing(image_size=64), settings.seed), settings)
        for _ in range(2)
    ]
    for one, two in zip(*(run.network.state_dict().values() for run in runs), strict=True):
        torch.testing.assert_close(one, two)


def test_probabilities_sum_to_one_and_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    net = network.build(3).eval()
    images = torch.rand(3, 1, 64, 64)
    together = network.probabilities(net, images)
    assert together.sum(dim=1).tolist() == pytest.approx([1] * 3, abs=1e-12)
    assert together[1].tolist() == pytest.approx(network.probabilities(net, images[1:2])[0].tolist(), abs=1e-5)
