"""The comparison of a backend with the trained network, and the bounds: each excess is found and named."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from model_code.backends.known_answer import TOLERANCE
from model_code.optimisation.parity import FP32, INT8, Comparison, compare

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.405, 0.395, 0.2], [0.2, 0.1, 0.7]])
TARGETS = np.array([0, 1, 1, 2], np.intp)
EQUAL = Comparison(
    slices=4,
    usual_difference=0.0,
    largest_difference=0.0,
    changes=0,
    clear_changes=0,
    auc_loss=0.0,
    auc_allowed=1e-3,
)


def moved(slice_: int, to: int, of: int, by: float) -> np.ndarray:
    changed = REFERENCE.copy()
    changed[slice_, to] += by
    changed[slice_, of] -= by
    return changed


def many(count: int, *, moved: int, by: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of ``count`` slices, the same of which ``moved`` differ by ``by``, and the classes."""
    reference = np.tile([[0.8, 0.2], [0.1, 0.9]], (count // 2, 1))
    changed = reference.copy()
    changed[:moved] += [-by, by]
    return reference, changed, np.tile([0, 1], count // 2)


def test_the_same_probabilities() -> None:
    for bounds in (FP32, INT8):
        found = compare(REFERENCE, REFERENCE, TARGETS, bounds)
        assert replace(found, auc_allowed=EQUAL.auc_allowed) == EQUAL
        assert found.problems(bounds) == []


def test_of_fewer_than_100_slices_none_may_differ_by_more_than_is_usual() -> None:
    found = compare(REFERENCE, moved(3, to=0, of=2, by=0.03), TARGETS, INT8)
    assert found.largest_difference == found.usual_difference == pytest.approx(0.03)
    assert found.problems(INT8) == [
        "a probability differs by 0.03 or more on more than 1% of 4 slices, at most 0.02 is allowed"
    ]


@pytest.mark.parametrize(("differ", "holds"), [(2, True), (3, False)])
def test_one_slice_in_a_hundred_may_differ_by_more_than_is_usual(differ: int, holds: bool) -> None:
    found = compare(*many(200, moved=differ, by=0.04), INT8)
    assert (found.usual_difference <= INT8.usual) is holds
    assert (found.problems(INT8) == []) is holds


def test_no_slice_may_differ_by_more_than_the_most() -> None:
    found = compare(*many(200, moved=1, by=0.06), INT8)
    assert found.usual_difference == 0
    assert found.problems(INT8) == ["a probability differs by 0.06, at most 0.05 is allowed on any slice"]


def test_in_fp32_no_slice_may_differ_by_more_than_rounding() -> None:
    assert len(compare(*many(200, moved=1, by=2e-4), FP32).problems(FP32)) == 1


def test_a_class_may_change_within_a_tie_only() -> None:
    tie = compare(REFERENCE, moved(2, to=1, of=0, by=0.012), TARGETS, INT8)
    assert (tie.changes, tie.clear_changes, tie.problems(INT8)) == (1, 0, [])
    clear = compare(REFERENCE, moved(2, to=1, of=0, by=0.012), TARGETS, replace(INT8, tie_band=0.009))
    assert (clear.changes, clear.clear_changes) == (1, 1)
    assert clear.problems(INT8) == ["1 of 4 slices are of another class and no tie"]


def areas(rest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One slice of class 0 and ``rest`` + 1 of class 1, of which one comes before it in the second probabilities."""
    first = np.concatenate([[0.5, 0.495], np.full(rest, 0.1)])
    swapped = np.concatenate([[0.49, 0.495], np.full(rest, 0.1)])
    targets = np.array([0] + [1] * (rest + 1))
    return np.stack([first, 1 - first], 1), np.stack([swapped, 1 - swapped], 1), targets


def test_an_area_may_shrink_by_one_pair_of_slices_of_few() -> None:
    found = compare(*areas(rest=24), replace(INT8, tie_band=1))
    assert found.auc_allowed == pytest.approx(found.auc_loss) == 1 / 25
    assert found.problems(INT8) == []


def test_an_area_that_shrinks_by_two_pairs_is_too_small() -> None:
    reference, swapped, targets = areas(rest=24)
    reference[2], swapped[2] = reference[1], swapped[1]
    found = compare(reference, swapped, targets, replace(INT8, tie_band=1))
    assert found.auc_loss == pytest.approx(2 / 25)
    assert found.problems(INT8) == ["an AUC is smaller by 0.08, at most 0.04 is allowed"]


def test_of_many_slices_an_area_may_not_shrink_by_more_than_its_bound() -> None:
    reference, swapped, targets = areas(rest=998)
    found = compare(reference, swapped, targets, replace(INT8, tie_band=1))
    assert (found.auc_loss, found.auc_allowed) == (pytest.approx(1 / 999), 5e-3)
    reference[2:12], swapped[2:12] = reference[1], swapped[1]
    found = compare(reference, swapped, targets, replace(INT8, tie_band=1))
    assert found.problems(INT8) == ["an AUC is smaller by 0.011, at most 0.005 is allowed"]


def test_the_class_that_loses_too_much_is_found_behind_one_that_loses_more_and_may() -> None:
    scores = np.zeros((6, 3))
    scores[0, 0], scores[1:3, 1] = 0.9, (0.8, 0.7)
    targets = np.array([0, 1, 1, 2, 2, 2])
    lost = scores.copy()
    lost[3, 0] = 0.95  # class 0 loses its one pair of five that may be lost
    lost[3:5, 1] = (0.75, 0.7)  # class 1 a pair of eight, which may be lost, and half a one
    found = compare(scores, lost, targets, INT8)
    assert (found.auc_loss, found.auc_allowed) == (pytest.approx(1.5 / 8), 1 / 8)
    assert compare(scores[:, :], np.where([True, False, False], lost, scores), targets, INT8).auc_allowed == 1 / 5


def test_an_area_that_grows_makes_up_for_nothing() -> None:
    assert compare(moved(0, to=1, of=0, by=0.4), REFERENCE, TARGETS, INT8).auc_loss == 0.0


def test_slices_of_one_class_have_no_area() -> None:
    assert compare(REFERENCE[:1], REFERENCE[:1], TARGETS[:1], INT8).auc_loss == 0.0


@pytest.mark.parametrize(
    "worse",
    [
        {"usual_difference": math.nan},
        {"largest_difference": math.nan},
        {"auc_loss": math.nan},
        {"usual_difference": 1.1e-4},
        {"largest_difference": 1.1e-4},
        {"clear_changes": 1},
        {"auc_loss": 2e-3},
    ],
)
def test_every_bound_binds_alone_and_nan_exceeds_all(worse: dict[str, float]) -> None:
    assert len(replace(EQUAL, **worse).problems(FP32)) == 1  # type: ignore[arg-type]


def test_the_bounds_are_those_that_the_documents_state() -> None:
    assert (FP32.usual, FP32.most, FP32.tie_band, FP32.auc) == (1e-4, 1e-4, 2e-4, 1e-3)
    assert (INT8.usual, INT8.most, INT8.tie_band, INT8.auc) == (0.02, 0.05, 0.02, 5e-3)


def test_the_known_answer_lets_no_more_pass_than_a_backend_may_deviate_by() -> None:
    for largest in np.linspace(0.1, 5, 50):
        moved_by = TOLERANCE * max(1.0, largest)
        for before in np.linspace(-largest, largest, 50):
            two = [1 / (1 + math.exp(-2 * before - sign * 2 * moved_by)) for sign in (0, 1)]
            assert two[1] - two[0] <= INT8.most
