"""Metrics against numbers computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from model_code.training.metrics import measure

PROBABILITIES = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]).double()
TARGETS = torch.tensor([0, 0, 0, 1])


def test_balanced_accuracy_counts_classes_not_slices() -> None:
    metrics = measure(PROBABILITIES, TARGETS, ("a", "b", "c"))
    assert metrics.accuracy == 0.5
    assert metrics.recalls == pytest.approx({"a": 2 / 3, "b": 0.0})
    assert metrics.balanced_accuracy == pytest.approx(1 / 3)
    assert metrics.loss == pytest.approx((2 * math.log(2) + 2 * math.log(4)) / 4)


def test_better_is_more_balanced_then_less_loss() -> None:
    right = measure(torch.eye(2).double(), torch.tensor([0, 1]), ("a", "b"))
    unsure = measure(torch.tensor([[0.6, 0.4], [0.4, 0.6]]).double(), torch.tensor([0, 1]), ("a", "b"))
    wrong = measure(torch.eye(2).double(), torch.tensor([1, 0]), ("a", "b"))
    assert right.better_than(None)
    assert right.better_than(unsure)
    assert unsure.better_than(wrong)
    assert not unsure.better_than(unsure)
    assert math.isfinite(wrong.loss)
