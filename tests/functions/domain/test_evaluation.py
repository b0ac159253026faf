"""evaluation/1 is read strictly: any other document says nothing about a candidate."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.domain.errors import MalformedDocument
from functions.domain.evaluation import ClassFigures, Subgroup, parse
from tests.fakes.workflow import LABELS, evaluation, figure, measured, subgroup

FIRST = {"SnapshotDigest": "ab" * 32, "Champion": {}}
SECOND = FIRST | {"Champion": {"ModelPackage": "wetread/1"}}


def read(document: Any) -> Any:
    return parse(json.dumps(document).encode(), "ab" * 32)


def test_everything_is_read() -> None:
    found = read(evaluation(SECOND))
    assert found.labels == LABELS
    assert found.difference_low == -0.01
    assert found.champion.weights_sha256 == hashlib.sha256(b"champion").hexdigest()
    candidate = found.candidate
    assert (candidate.balanced_accuracy, candidate.calibration_error) == (0.9, 0.05)
    assert candidate.classes["covid"] == ClassFigures(sensitivity=0.9, specificity=0.95, auc=0.97)
    assert candidate.subgroups[0] == Subgroup(attribute="PatientSex", value="F", patients=9, balanced_accuracy=0.88)


def calibration(**changes: Any) -> dict[str, Any]:
    return {"ECE": 0.1, "Error": {"Value": 0.1, "Low": 0.0, "High": 0.2}, "OddsTooSure": 2.5} | changes


def test_the_calibration_of_an_older_container_has_no_error_by_class() -> None:
    assert read(evaluation(FIRST)).candidate.calibration is None
    found = read(evaluation(FIRST, Candidate=measured(Calibration=calibration()))).candidate.calibration
    assert (found.error, found.error_low, found.odds_too_sure) == (0.1, 0.0, 2.5)


def test_a_first_model_has_no_champion() -> None:
    found = read(evaluation(FIRST))
    assert (found.champion, found.difference_low) == (None, None)


def test_undefined_figures_are_none() -> None:
    found = read(evaluation(SECOND, low=None, Candidate=measured(BalancedAccuracy=figure(None))))
    assert (found.difference_low, found.candidate.balanced_accuracy) == (None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SnapshotDigest": "cd" * 32}, "the run is about"),
        ({"Schema": "evaluation/2"}, "Schema is 'evaluation/2'"),
        ({"Labels": "covid"}, "Labels is 'covid'"),
        ({"Labels": [*LABELS, "flu"]}, "has no field flu"),
        ({"Champion": None}, "come together"),
        ({"Paired": None}, "come together"),
        ({"Paired": {"Metric": "Accuracy", "Low": 0.1}}, "Metric is 'Accuracy'"),
        ({"Paired": {"Metric": "BalancedAccuracy", "Low": -2}}, "Low is -2"),
        ({"Candidate": measured(BalancedAccuracy=figure(float("nan")))}, "Value is nan"),
        ({"Candidate": measured(BalancedAccuracy=figure(10**400))}, "not between 0 and 1"),  # type: ignore[arg-type]
        ({"Candidate": measured(BalancedAccuracy=figure(float("inf")))}, "Value is inf"),
        ({"Candidate": measured(BalancedAccuracy=figure(float("-inf")))}, "Value is -inf"),
        ({"Candidate": measured(Subgroups=[subgroup("PatientSex", "F", 0.9, patients=10**30)])}, "Patients is 1000"),
        ({"Candidate": measured(Subgroups=[subgroup("PatientSex", "\ud800", 0.9)])}, "Value is '\\ud800'"),
        ({"Labels": [*LABELS, "\udfff"]}, "not a list of texts"),
        ({"Candidate": measured(BalancedAccuracy=0.9)}, "BalancedAccuracy is no object"),
        ({"Candidate": measured(Classes={})}, "has no field normal"),
        ({"Candidate": measured(Calibration={})}, "has no field ECE"),
        ({"Candidate": measured(Calibration={"ECE": 0.1, "Error": {}})}, "has no field Value"),
        ({"Candidate": measured(Calibration=calibration(OddsTooSure=-1))}, "not a number from 0"),
        ({"Candidate": measured(Calibration=calibration(OddsTooSure=float("inf")))}, "not a number from 0"),
        ({"Candidate": measured(Calibration=calibration(OddsTooSure=True))}, "not a number from 0"),
        ({"Candidate": measured(Subgroups={})}, "Subgroups is {}"),
        ({"Candidate": measured(Subgroups=[subgroup("PatientSex", "F", 0.9, patients=-1)])}, "Patients is -1"),
        ({"Candidate": measured(Model={})}, "has no field WeightsSHA256"),
        ({"Candidate": None}, "Candidate is no object"),
    ],
)
def test_anything_else_is_malformed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedDocument) as caught:
        read(evaluation(SECOND) | changes)
    assert said in str(caught.value)
