"""Intervals cover the truth, and a worse model rarely passes: measured through the product's own code."""

from __future__ import annotations

import pytest

from assurance.gates.generator import BASE, HIGH, SETTINGS, Setting, truth_of
from assurance.gates.trials import METRICS, coverage, promoted

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
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_a_candidate_that_is_worse_by_the_margin_rarely_passes(setting: Setting, patients: int) -> None:
    assert promoted(setting, patients, -0.05, DRAWS, SEED) <= MOST_PASSED


def test_the_settings_are_those_of_the_measurements() -> None:
    assert (truth_of(BASE.balanced_accuracy).sensitivity, HIGH.intra_patient) == (0.85, 0.7)
    assert truth_of(0.85).specificity == pytest.approx(0.925)
    assert 0.93 < truth_of(0.85).auc < truth_of(0.95).auc < 1
