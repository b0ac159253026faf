"""The gate refuses probabilities that are far too sharp and passes those that hold: measured on simulated test sets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from assurance.calibration import PRIORS, measured, prior_shift
from assurance.gates import generator
from assurance.gates.generator import BASE, HIGH, Population, Setting
from functions.domain import evaluation, promotion
from functions.domain.promotion import Thresholds
from functions.domain.verdict import ModelProblem
from model_code.evaluation.document import build

DRAWS, SEED, DIGEST = 100, 7, "ab" * 32

pytestmark = pytest.mark.check


@pytest.mark.parametrize("patients", [12, 24, 60])
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_model_whose_probabilities_hold_passes_and_its_interval_holds_no_error(setting, patients) -> None:
    found = measured(setting, patients, 1, DRAWS, SEED)
    assert found["Refused"] <= 0.05
    assert found["Covered"] >= 0.95


@pytest.mark.parametrize(("setting", "patients"), [(BASE, 12), (BASE, 24), (BASE, 60), (HIGH, 24), (HIGH, 60)])
def test_logits_twenty_times_too_sharp_are_refused(setting: Setting, patients: int) -> None:
    found = measured(setting, patients, 20, DRAWS, SEED)
    assert found["Refused"] >= 0.95
    assert found["Covered"] >= 0.86  # of 100 draws at a true share of 0.93, fewer come once in 100 times


def test_of_few_patients_that_are_nearly_all_read_right_most_are_refused() -> None:
    found = measured(HIGH, 12, 20, DRAWS, SEED)
    assert found["Refused"] >= found["Mistakes"] - 0.15


def test_the_error_is_not_biased_by_the_number_of_patients() -> None:
    """ECE of a perfect model is .12 on 24 slices and .03 on 600: this is not."""
    few, many = (measured(BASE, patients, 20, DRAWS, SEED) for patients in (12, 60))
    assert few["Value"] == pytest.approx(few["Truth"], abs=0.03)
    assert many["Value"] == pytest.approx(many["Truth"], abs=0.015)
    assert measured(BASE, 60, 1, DRAWS, SEED)["Value"] < 0.012


@pytest.mark.parametrize(("sharpness", "refused"), [(1.0, False), (20.0, True)])
def test_the_gate_hears_of_it_through_the_document(sharpness: float, refused: bool) -> None:
    cases = generator.test_set(BASE, 24)
    model = Population(BASE, cases, np.random.default_rng(SEED)).model(0.85, sharpness=sharpness)
    read = evaluation.parse(json.dumps(build(DIGEST, cases, model, None)).encode(), DIGEST)
    codes = {one.code for one in promotion.shortcomings(read, Thresholds(), against_champion=False)}
    assert (ModelProblem.CALIBRATION_TOO_POOR in codes) is refused


@pytest.mark.parametrize("shares", PRIORS)
def test_the_log_prior_brings_probabilities_back_to_the_frequencies(shares: tuple[float, ...]) -> None:
    before, after = prior_shift(shares, SEED)
    assert max(before) > 1.5
    assert after == pytest.approx([1, 1, 1], abs=0.1)
