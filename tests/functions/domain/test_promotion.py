"""The model gate's rules, one shortcoming at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.domain.evaluation import parse
from functions.domain.promotion import shortcomings
from functions.domain.verdict import Reason
from tests.fakes.workflow import LABELS, THRESHOLDS, evaluation, figure, measured, subgroup

FIRST = {"SnapshotDigest": "ab" * 32, "Champion": {}}
SECOND = FIRST | {"Champion": {"ModelPackage": "wetread/1"}}


def found(taken: dict[str, Any] = FIRST, **changes: Any) -> list[Reason]:
    document = evaluation(taken, **changes)
    read = parse(json.dumps(document).encode(), "ab" * 32)
    return shortcomings(read, THRESHOLDS, against_champion=bool(taken["Champion"]))


def classes(**changes: Any) -> dict[str, Any]:
    rates = {"Sensitivity": figure(0.9), "Specificity": figure(0.9), "AUC": figure(0.9)}
    return {label: rates | (changes if label == "cap" else {}) for label in LABELS}


def calibration(low: float | None = 0.0, odds: float = 0.5) -> dict[str, Any]:
    """As containers write it since the error is bias-corrected; the ECE is far too large, and not asked."""
    return {"ECE": 0.9, "Error": {"Value": 0.3, "Low": low, "High": 0.4}, "OddsTooSure": odds}


def test_a_good_candidate_passes_first_or_not() -> None:
    assert found() == []
    assert found(SECOND) == []


@pytest.mark.parametrize(
    ("candidate", "code", "said"),
    [
        ({"BalancedAccuracy": figure(0.699)}, "BalancedAccuracyTooLow", "is 0.699; this stage asks for 0.7"),
        ({"Classes": classes(Sensitivity=figure(0.5))}, "SensitivityTooLow", "sensitivity for cap is 0.500"),
        ({"Classes": classes(Specificity=figure(0.5))}, "SpecificityTooLow", "specificity for cap is 0.500"),
        ({"Classes": classes(AUC=figure(0.5))}, "AUCTooLow", "AUC for cap is 0.500"),
        ({"Calibration": {"ECE": 0.3}}, "CalibrationTooPoor", "is 0.300; this stage takes 0.25"),
        ({"Calibration": calibration(low=0.26)}, "CalibrationTooPoor", "is 0.300, and at least 0.260 (95 %)"),
        ({"Calibration": calibration(odds=20.0)}, "CalibrationTooPoor", "20 times better than the model's own"),
        ({"Subgroups": [subgroup("PatientSex", "F", 0.6)]}, "SubgroupCollapse", "In PatientSex F (9 patients)"),
        ({"BalancedAccuracy": figure(None)}, "UndefinedMetric", "balanced accuracy is undefined"),
        ({"Classes": classes(AUC=figure(None))}, "UndefinedMetric", "AUC for cap is undefined"),
        ({"Calibration": {"ECE": None}}, "UndefinedMetric", "(ECE) is undefined"),
        ({"Subgroups": [subgroup("PatientSex", "F", None)]}, "UndefinedMetric", "PatientSex F is undefined"),
    ],
)
def test_a_shortcoming_is_named_with_its_figure(candidate: dict[str, Any], code: str, said: str) -> None:
    (reason,) = found(Candidate=measured(**candidate))
    assert reason.code == code
    assert said in reason.message
    assert not reason.accepted


@pytest.mark.parametrize(
    "candidate",
    [
        {"BalancedAccuracy": figure(0.7), "Subgroups": []},
        {"Calibration": {"ECE": 0.25}},
        {"Calibration": calibration(low=0.25, odds=19.9)},
        {"Calibration": calibration(low=None)},
        {"Subgroups": [subgroup("PatientSex", "F", 0.65)]},
        {"Subgroups": [subgroup("Manufacturer", "X", 0.0, patients=4)]},
        {"Subgroups": [subgroup("Manufacturer", "X", None, patients=4)]},
    ],
)
def test_at_the_threshold_is_enough_and_a_small_subgroup_is_not_judged(candidate: dict[str, Any]) -> None:
    assert found(Candidate=measured(**candidate)) == []


@pytest.mark.parametrize(("low", "code"), [(-0.05, None), (-0.06, "WorseThanChampion"), (None, "UndefinedMetric")])
def test_the_candidate_may_not_be_worse_than_the_champion_by_more_than_the_margin(
    low: float | None, code: str | None
) -> None:
    assert [str(reason.code) for reason in found(SECOND, low=low)] == ([code] if code else [])


def test_a_comparison_that_was_not_made_fails_closed() -> None:
    (reason,) = found(SECOND, Champion=None, Paired=None)
    assert reason.code == "MalformedEvaluation"
    (reason,) = found(FIRST, Champion=measured(), Paired={"Metric": "BalancedAccuracy", "Low": 0.0})
    assert reason.code == "MalformedEvaluation"


def test_all_shortcomings_are_listed() -> None:
    poor = measured(BalancedAccuracy=figure(0.3), Classes=classes(AUC=figure(0.1)), Calibration={"ECE": 0.9})
    codes = [str(reason.code) for reason in found(SECOND, low=-0.5, Candidate=poor)]
    assert codes == ["BalancedAccuracyTooLow", "AUCTooLow", "CalibrationTooPoor", "WorseThanChampion"]
