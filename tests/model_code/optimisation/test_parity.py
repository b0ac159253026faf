"""The comparison of a backend with the trained network, and the bounds: each excess is found and named."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from model_code.optimisation.parity import FP32, INT8, Comparison, compare

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.405, 0.395, 0.2], [0.2, 0.1, 0.7]])
TARGETS = np.array([0, 1, 1, 2], np.intp)
EQUAL = Comparison(slices=4, probability_difference=0.0, changes=0, clear_changes=0, auc_loss=0.0)


def moved(slice_: int, to: int, of: int, by: float) -> np.ndarray:
    changed = REFERENCE.copy()
    changed[slice_, to] += by
    changed[slice_, of] -= by
    return changed


def test_the_same_probabilities() -> None:
    assert compare(REFERENCE, REFERENCE, TARGETS, tie_band=0.02) == EQUAL
    assert EQUAL.problems(FP32) == EQUAL.problems(INT8) == []


def test_the_largest_difference_of_any_slice_and_class_counts() -> None:
    found = compare(REFERENCE, moved(3, to=0, of=2, by=0.03), TARGETS, tie_band=0.02)
    assert found.probability_difference == pytest.approx(0.03)
    assert found.problems(INT8) == ["a probability differs by 0.03, at most 0.02 is allowed"]


def test_a_class_may_change_within_a_tie_only() -> None:
    tie = compare(REFERENCE, moved(2, to=1, of=0, by=0.012), TARGETS, tie_band=0.02)
    assert (tie.changes, tie.clear_changes, tie.problems(INT8)) == (1, 0, [])
    clear = compare(REFERENCE, moved(2, to=1, of=0, by=0.012), TARGETS, tie_band=0.009)
    assert (clear.changes, clear.clear_changes) == (1, 1)
    assert "1 of 4 slices are of another class and no tie" in clear.problems(INT8)


def test_an_area_under_the_curve_that_shrinks() -> None:
    order_lost = moved(0, to=1, of=0, by=0.35)  # the slice of class 0 falls behind one of class 1
    found = compare(REFERENCE, order_lost, TARGETS, tie_band=0.02)
    assert found.auc_loss == pytest.approx(1 / 3)
    assert any(problem.startswith("an AUC is smaller by 0.33") for problem in found.problems(INT8))


def test_an_area_that_grows_makes_up_for_nothing() -> None:
    assert compare(moved(0, to=1, of=0, by=0.4), REFERENCE, TARGETS, tie_band=0.02).auc_loss == 0.0


def test_slices_of_one_class_have_no_area() -> None:
    assert compare(REFERENCE[:1], REFERENCE[:1], TARGETS[:1], tie_band=0.02).auc_loss == 0.0


@pytest.mark.parametrize(
    "worse",
    [
        {"probability_difference": math.nan},
        {"auc_loss": math.nan},
        {"probability_difference": 1.1e-4},
        {"clear_changes": 1},
        {"auc_loss": 2e-3},
    ],
)
def test_every_bound_binds_and_nan_exceeds_all(worse: dict[str, float]) -> None:
    assert len(replace(EQUAL, **worse).problems(FP32)) == 1  # type: ignore[arg-type]


def test_the_bounds_are_those_that_the_documents_state() -> None:
    assert (FP32.probability, INT8.probability, INT8.tie_band) == (1e-4, 0.02, 0.02)
