"""Intervals cover the truth, and a worse model rarely passes: measured through the product's own code."""

from __future__ import annotations

import pytest

from assurance.gates.generator import BASE, HIGH, SETTINGS, Setting, truth_of
from assurance.gates.trials import METRICS, PROMOTED, coverage, judged, predicted, promoted_first
from functions.domain.verdict import Risk

DRAWS, SEED = 100, 7
# Of 100 draws at a true share of 0.93 fewer than 86, or at one of 0.05 more than 11, come once in 100 times.
LEAST_COVERED, MOST_PASSED = 0.86, 0.11


@pytest.mark.check
@pytest.mark.parametrize("patients", [12, 24, 60])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_intervals_cover_the_truth_and_always_have_a_width(setting: Setting, patients: int) -> None:
    found = coverage(setting, patients, DRAWS, SEED)
    assert min(found[metric] for metric in METRICS) >= LEAST_COVERED, found
    assert found["Width0"] == 0


@pytest.mark.check
@pytest.mark.parametrize("patients", [6, 12, 24, 60])
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_candidate_that_is_worse_by_the_margin_rarely_passes(setting: Setting, patients: int) -> None:
    assert judged(setting, patients, -0.05, DRAWS, SEED)[PROMOTED] <= MOST_PASSED


@pytest.mark.check
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_the_power_that_is_printed_before_a_run_is_what_the_gate_gives(setting: Setting) -> None:
    for better in (0.0, 0.05):
        found = judged(setting, 60, better, DRAWS, SEED)[PROMOTED]
        assert predicted(setting, 60, better) == pytest.approx(found, abs=0.2)


@pytest.mark.check
def test_where_the_patients_are_too_few_to_tell_a_person_decides_instead_of_the_gate() -> None:
    found = judged(BASE, 12, 0.0, DRAWS, SEED)
    assert found[PROMOTED] < 0.1
    assert found[Risk.TOO_FEW_TO_COMPARE] > 0.3


@pytest.mark.check
@pytest.mark.parametrize("patients", [24, 60, 200])
def test_a_first_model_at_the_threshold_rarely_passes_and_a_good_one_does(patients: int) -> None:
    assert promoted_first(BASE, patients, 0.7, DRAWS, SEED) <= MOST_PASSED
    assert promoted_first(BASE, patients, 0.65, DRAWS, SEED) <= MOST_PASSED
    assert promoted_first(BASE, 200, 0.9, 20, SEED) == 1


def test_the_settings_are_those_of_the_measurements() -> None:
    assert (truth_of(BASE.balanced_accuracy, 3).sensitivity, HIGH.intra_patient) == (0.85, 0.7)
    assert truth_of(0.85, 3).specificity == pytest.approx(0.925)
    assert truth_of(0.85, 2).specificity == pytest.approx(0.85)
    assert 0.93 < truth_of(0.85, 3).auc < truth_of(0.95, 3).auc < 1
