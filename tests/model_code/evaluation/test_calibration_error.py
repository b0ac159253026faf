"""The calibration error, by pairs of patients alone: 0 where the probabilities hold. The bet against too sharp ones."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.evaluation import calibration_error
from model_code.evaluation.calibration_error import errors, odds_too_sure, offsets

rng = np.random.default_rng(0)


def one_slice_each(probabilities: list[float], targets: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes, one slice a patient; the probabilities are those of class 0."""
    first = np.array(probabilities)
    return np.column_stack([first, 1 - first]), np.array(targets), np.arange(len(targets))


def test_a_known_error_is_found() -> None:
    """Each says 0.95, and 3 of 4 are right: the differences are -.05, -.05, -.05, .95, whose pairs' mean is known."""
    given = one_slice_each([0.95] * 8, [0, 0, 0, 1] * 2)
    differences = np.array([0.95 - (target == 0) for target in given[1]])
    pairs = (differences.sum() ** 2 - (differences**2).sum()) / (8 * 7)
    (first, second), whole = errors(*given)
    assert first.value == second.value == whole.value == pytest.approx(np.sqrt(pairs), abs=1e-4)


def test_slices_of_one_patient_are_no_evidence_against_each_other() -> None:
    probabilities, targets = np.tile([0.95, 0.05], (40, 1)), np.ones(40, int)
    assert errors(probabilities, targets, np.repeat([0], 40))[1].value == 0
    assert errors(probabilities, targets, np.repeat([0, 1], 20))[1].value == pytest.approx(0.95, abs=1e-4)


def test_its_square_is_right_on_average_at_every_size() -> None:
    for patients in (6, 40):
        squares = []
        for _ in range(400):
            first = rng.choice([0.25, 0.55, 0.85], patients)
            targets = (rng.random(patients) > np.minimum(first + 0.1, 1)).astype(int)
            made = np.column_stack([first, 1 - first])
            squares.append(calibration_error._squares(made[:, 0], (targets == 0).astype(float), np.arange(patients))[0])
        assert np.mean(squares) == pytest.approx(0.01, abs=4 * np.std(squares) / 20)


def test_few_patients_have_a_value_without_an_interval() -> None:
    (first, _), whole = errors(*one_slice_each([0.9] * 5, [0, 0, 0, 1, 1]))
    assert (first.low, first.high, whole.low) == (None, None, None)
    assert offsets(*one_slice_each([0.9] * 5, [0] * 5))[0].low is None
    many = errors(*one_slice_each([0.9] * 6, [0, 0, 0, 1, 1, 1]))[1]
    assert many.low is not None
    assert many.high is not None


def test_the_upper_end_allows_for_a_patient_that_none_of_these_is_like() -> None:
    assert errors(*one_slice_each([1.0] * 10, [0] * 10))[1].high == pytest.approx(0.1)


def test_the_offset_of_a_class_is_its_mean_probability_less_its_share() -> None:
    found = offsets(*one_slice_each([0.4] * 20, [0] * 2 + [1] * 18))
    assert [one.value for one in found] == pytest.approx([0.3, -0.3])
    assert found[0].low is not None
    assert found[0].low > 0


def test_a_bet_on_softer_probabilities_wins_against_certainty_that_errs_and_loses_otherwise() -> None:
    certain = [1 - 1e-12] * 24
    assert odds_too_sure(*one_slice_each(certain, [0] * 20 + [1] * 4)) > 1000
    assert odds_too_sure(*one_slice_each(certain, [0] * 24)) < 1
    assert odds_too_sure(*one_slice_each([0.8] * 24, ([0] * 4 + [1]) * 4 + [0] * 4)) < 20


def test_the_bets_are_fair_whatever_one_patients_slices_have_in_common() -> None:
    """With ten alike slices a patient, at most 1 in 20 runs may reach 20 if the probabilities hold."""
    reached = 0
    for _ in range(400):
        first = rng.beta(0.3, 0.3, 12)
        targets = (rng.random(12) > first).astype(int)
        made = np.repeat(np.column_stack([first, 1 - first]), 10, axis=0)
        reached += odds_too_sure(made, np.repeat(targets, 10), np.repeat(np.arange(12), 10)) >= 20
    assert reached <= 20


def test_probabilities_of_zero_and_one_have_finite_odds() -> None:
    probabilities = np.tile([1.0, 0.0], (40, 1))
    assert odds_too_sure(probabilities, np.ones(40, int), np.arange(40)) == pytest.approx(1e9)
