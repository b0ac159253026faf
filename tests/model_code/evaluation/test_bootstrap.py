"""The bootstrap draws whole patients within their classes, and its intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.evaluation.bootstrap import RESAMPLES, Figure, Resamples, drawn_by_patient, figure

TARGETS = np.repeat([0, 1], [30, 20])
PATIENTS = np.repeat(np.arange(10), 5)  # six patients of class 0, four of class 1


def test_every_resample_has_as_many_patients_of_each_class() -> None:
    found = Resamples.drawn(TARGETS, PATIENTS, seed=0)
    assert found.weights.shape == (1 + RESAMPLES, 10)
    assert (found.weights[0] == 1).all()
    assert (found.weights[:, :6].sum(axis=1) == 6).all()
    assert (found.weights[:, 6:].sum(axis=1) == 4).all()
    assert found.weights[1:].max() > 3
    assert found.weights[1:].mean(axis=0) == pytest.approx(np.ones(10), abs=0.1)
    assert (found.unit_of == PATIENTS).all()


def test_the_seed_decides() -> None:
    first, again, other = (Resamples.drawn(TARGETS, PATIENTS, seed).weights for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_class_of_one_patient_is_drawn_by_slice() -> None:
    patients = np.repeat([0, 1, 2], [15, 15, 20])
    assert not drawn_by_patient(TARGETS, patients)
    found = Resamples.drawn(TARGETS, patients, seed=0)
    assert found.weights.shape == (1 + RESAMPLES, 50)
    assert (found.weights[:, :30].sum(axis=1) == 30).all()


def test_a_patient_counts_for_the_class_of_most_of_their_slices() -> None:
    targets, patients = np.array([0, 0, 1, 0, 1, 1]), np.array([0, 0, 0, 1, 2, 3])
    assert drawn_by_patient(targets, patients)
    assert (Resamples.drawn(targets, patients, 0).weights[:, :2].sum(axis=1) == 2).all()


def test_a_figure_is_the_sample_with_the_middle_of_its_resamples() -> None:
    values = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert figure(values) == Figure(0.5, 0.025, 0.975)


def test_what_is_undefined_has_no_value_and_no_interval() -> None:
    assert figure(np.array([np.nan, 0.5, 0.6])) == Figure(None, None, None)
    assert figure(np.array([0.5, np.nan, np.nan])) == Figure(0.5, None, None)
    assert figure(np.array([0.5, np.nan, 0.25, 0.25])) == Figure(0.5, 0.25, 0.25)


def test_intervals_of_alike_slices_are_as_wide_as_patients_ask() -> None:
    """Five equal slices per patient are no more evidence than one."""
    rng = np.random.default_rng(0)
    right = rng.random(40) < 0.7
    targets, patients = np.zeros(40, int), np.arange(40)
    alone = Resamples.drawn(targets, patients, 0)
    fivefold = Resamples.drawn(np.repeat(targets, 5), np.repeat(patients, 5), 0)
    assert (fivefold.weights == alone.weights).all()
    accuracies = alone.weights @ right / 40
    found = figure(accuracies)
    error = np.sqrt(right.mean() * (1 - right.mean()) / 40)
    assert found.low == pytest.approx(right.mean() - 1.96 * error, abs=0.03)
    assert found.high == pytest.approx(right.mean() + 1.96 * error, abs=0.03)
