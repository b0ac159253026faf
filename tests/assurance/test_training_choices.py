"""The comparison of training choices: without any it trains as `train` does, and each choice changes its one thing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from assurance.training_choices import __main__ as comparison
from assurance.training_choices.__main__ import ALONE, SETTINGS, WAYS, Figures, Parts, measured, phantoms, table
from assurance.training_choices.choices import WINDOW_HU, Average, Choice, intensities, spare_norms
from model_code.training import fit
from model_code.training.checkpoint import Checkpoints
from model_code.training.learner import Learner
from model_code.transforms import Preprocessing
from wetread.demo.phantoms import LABELS

SHORT = dataclasses.replace(SETTINGS, epochs=2)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return phantoms(0, {"training": 12, "validation": 12, "test": 6})


def test_without_a_choice_it_trains_what_the_command_train_trains(parts: Parts, tmp_path: Path) -> None:
    best, _ = comparison.train(parts, SHORT, frozenset())
    own, _ = fit.fit(parts.training, parts.validation, LABELS, SHORT, ALONE, Checkpoints(tmp_path, {}))
    assert best.epoch == own.epoch
    assert all(torch.equal(best.weights[name], one) for name, one in own.weights.items())


def test_every_way_is_measured_and_has_a_line(parts: Parts) -> None:
    figures = measured(parts, SHORT, frozenset(Choice))
    assert figures.brighter > 0
    assert figures.noisy > 0
    lines = table({name: [figures, dataclasses.replace(figures, test=figures.test + 0.5)] for name in WAYS})
    assert len(lines) == 2 + len(WAYS)
    assert all("(+0/+0)" in line for line in lines[2:])


def test_a_line_shows_each_seeds_difference_to_training_as_before() -> None:
    zero = Figures(*[0.0] * len(dataclasses.fields(Figures)))
    worse = dataclasses.replace(zero, test=-0.03)
    assert "(-3/+0)" in table({"as before": [zero, zero], "other": [worse, zero]})[-1]


def test_the_mean_of_few_steps_is_their_mean() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = Average(network, steps=1000)
    for value in (1.0, 2.0, 6.0):
        torch.nn.init.constant_(network.weight, value)
        average.add()
    assert float(next(average.network.parameters()).detach()) == pytest.approx(3)


def test_norms_and_biases_are_not_decayed_and_everything_is_learnt() -> None:
    learner = Learner(torch.ones(3), 10, SHORT, ALONE)
    spare_norms(learner, 10, SHORT)
    decayed, spared = learner._optimizer.param_groups
    assert decayed["weight_decay"] > spared["weight_decay"] == 0
    assert {one.dim() for one in spared["params"]} == {1}
    assert len(decayed["params"]) + len(spared["params"]) == len(list(learner.network.parameters()))


def test_intensities_change_within_the_window_alone_and_by_the_draw_alone() -> None:
    images = torch.full((64, 1, 8, 8), 0.5)
    once, again = (intensities(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, images)
    assert 0 <= float(once.min()) < float(once.max()) <= 1
    assert float((once.mean((1, 2, 3)) - 0.5).abs().max()) < (20 + 30) / WINDOW_HU
    assert Preprocessing().window_width_hu == WINDOW_HU
