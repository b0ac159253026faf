"""The figures against values counted by hand, and against slow, obvious computations."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.evaluation import statistics
from model_code.evaluation.bootstrap import Resamples

# Truth a a a a b b b b b c and the predictions: a is right 3 of 4 times, b 3 of 5, c never.
TARGETS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 1, 0, 2, 0])
PATIENTS = np.arange(10)
ONCE = Resamples(np.ones((1, 10)), PATIENTS)
rng = np.random.default_rng(0)


def confusion() -> np.ndarray:
    return statistics.confusion_matrices(PREDICTED, TARGETS, 3, ONCE)


def test_the_confusion_matrix_has_the_truth_in_rows() -> None:
    assert confusion().tolist() == [[[3, 1, 0], [1, 3, 1], [1, 0, 0]]]


def test_figures_as_counted_by_hand() -> None:
    assert statistics.sensitivities(confusion())[0] == pytest.approx([3 / 4, 3 / 5, 0])
    # a was called 2 of 6 times wrongly, b 1 of 5, c 1 of 9
    assert statistics.specificities(confusion())[0] == pytest.approx([4 / 6, 4 / 5, 8 / 9])
    assert statistics.accuracy(confusion())[0] == pytest.approx(0.6)
    assert statistics.balanced_accuracy(confusion())[0] == pytest.approx((3 / 4 + 3 / 5) / 3)


def test_a_class_without_slices_is_undefined_not_zero() -> None:
    found = statistics.confusion_matrices(
        np.array([0, 1]), np.array([0, 0]), 2, Resamples(np.ones((1, 2)), np.arange(2))
    )
    assert np.isnan(statistics.sensitivities(found)[0]).tolist() == [False, True]
    assert np.isnan(statistics.specificities(found)[0]).tolist() == [True, False]
    assert np.isnan(statistics.balanced_accuracy(found)[0])


def test_weights_count_a_patients_slices_as_often_as_the_patient_is_drawn() -> None:
    weights = np.array([[1.0, 1, 1], [2, 0, 1]])
    resamples = Resamples(weights, np.array([0, 0, 1, 2]))
    found = statistics.confusion_matrices(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 2, resamples)
    assert found.tolist() == [[[1, 1], [0, 2]], [[2, 2], [0, 1]]]


def slow_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    won = total = 0.0
    for one in np.flatnonzero(positive):
        for other in np.flatnonzero(~positive):
            pair = weights[one] * weights[other]
            won += pair * ((scores[one] > scores[other]) + 0.5 * (scores[one] == scores[other]))
            total += pair
    return won / total


def test_the_area_by_hand_with_a_tie() -> None:
    scores, positive = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    once = Resamples(np.ones((1, 4)), np.arange(4))
    assert statistics.areas_under_curve(scores, positive, once)[0] == pytest.approx(3.5 / 4)
    assert statistics.areas_under_curve(-scores, positive, once)[0] == pytest.approx(0.5 / 4)
    assert statistics.areas_under_curve(np.zeros(4), positive, once)[0] == 0.5
    assert np.isnan(statistics.areas_under_curve(scores, np.ones(4, bool), once)[0])


def test_areas_of_resamples_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 3)
    scores, positive = rng.integers(0, 8, 40) / 8, rng.random(40) < 0.4
    patients = rng.integers(0, 12, 40)
    weights = rng.integers(0, 3, (8, 12)).astype(float)
    found = statistics.areas_under_curve(scores, positive, Resamples(weights, patients))
    assert found == pytest.approx([slow_auc(scores, positive, one[patients]) for one in weights])


def test_the_curve_ends_in_the_corners_and_its_area_is_the_area() -> None:
    scores, positive = rng.integers(0, 8, 60) / 8, rng.random(60) < 0.4
    alarms, hits = statistics.roc_curve(scores, positive)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert len(alarms) == 1 + len(set(scores))
    assert np.trapezoid(hits, alarms) == pytest.approx(slow_auc(scores, positive, np.ones(60)))


def test_calibration_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.39, 0.61], [0.0, 1.0]])
    error, bins = statistics.calibration(probabilities, np.array([0, 1, 1, 1, 1]))
    assert [(one.slices, one.accuracy) for one in bins] == [(2, 1.0), (3, pytest.approx(2 / 3))]
    assert [one.confidence for one in bins] == pytest.approx([0.63, (0.95 + 0.92 + 1) / 3])
    assert error == pytest.approx((2 * (1 - 0.63) + abs(0.95 + 0.92 + 1 - 2)) / 5)


def test_what_is_as_certain_as_it_is_right_has_no_error() -> None:
    confidence = rng.uniform(0.5, 1, 200_000)
    right = rng.random(200_000) < confidence
    error, _ = statistics.calibration(np.column_stack([confidence, 1 - confidence]), (~right).astype(int))
    assert error < 0.005
    sharper = np.column_stack([confidence**0.2, 1 - confidence**0.2])
    assert statistics.calibration(sharper, (~right).astype(int))[0] > 0.1
