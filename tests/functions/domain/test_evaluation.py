"""evaluation/2 and evaluation/1 are read strictly: any other document says nothing about a candidate."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.domain.errors import MalformedDocument
from functions.domain.evaluation import ClassFigures, Figure, Paired, Subgroup, parse
from tests.fakes.workflow import LABELS, evaluation, figure, measured, subgroup

FIRST = {"SnapshotDigest": "ab" * 32, "Champion": {}}
SECOND = FIRST | {"Champion": {"ModelPackage": "wetread/1"}}

PAIRED = evaluation(SECOND)["Paired"]


def read(document: Any) -> Any:
    return parse(json.dumps(document).encode(), "ab" * 32)


def exactly(value: float | None) -> Figure:
    return Figure(value=value, low=value, high=value)


def as_written_before(document: Any) -> Any:
    """Return evaluation/1 of evaluation/2: without what an earlier image did not write."""
    added = ("TooFew", "StandardError", "DegreesOfFreedom")
    if isinstance(document, dict):
        kept = {name: as_written_before(value) for name, value in document.items() if name not in added}
        return kept | {"Schema": "evaluation/1"} if "Schema" in kept else kept
    return [as_written_before(one) for one in document] if isinstance(document, list) else document


def test_everything_is_read() -> None:
    found = read(evaluation(SECOND))
    assert found.labels == LABELS
    assert found.paired == Paired(
        difference=Figure(value=0.02, low=-0.01, high=0.05), standard_error=0.015, degrees_of_freedom=50.0
    )
    assert found.champion.weights_sha256 == hashlib.sha256(b"champion").hexdigest()
    candidate = found.candidate
    assert (candidate.balanced_accuracy, candidate.calibration_error) == (exactly(0.9), 0.05)
    assert candidate.classes["covid"] == ClassFigures(
        sensitivity=exactly(0.9), specificity=exactly(0.95), auc=exactly(0.97)
    )
    assert candidate.subgroups[0] == Subgroup(
        attribute="PatientSex", value="F", patients=9, balanced_accuracy=exactly(0.88)
    )


def test_the_document_of_an_earlier_image_is_read_too() -> None:
    before, now = read(as_written_before(evaluation(SECOND))), read(evaluation(SECOND))
    assert (before.candidate, before.champion) == (now.candidate, now.champion)
    assert before.paired == Paired(difference=now.paired.difference, standard_error=None, degrees_of_freedom=None)


def test_a_figure_of_too_few_patients_says_so() -> None:
    found = read(evaluation(FIRST, Candidate=measured(BalancedAccuracy=figure(None, too_few=True))))
    assert found.candidate.balanced_accuracy == Figure(value=None, low=None, high=None, too_few=True)


def calibration(**changes: Any) -> dict[str, Any]:
    return {"ECE": 0.1, "Error": {"Value": 0.1, "Low": 0.0, "High": 0.2}, "OddsTooSure": 2.5} | changes


def test_the_calibration_of_an_older_container_has_no_error_by_class() -> None:
    assert read(evaluation(FIRST)).candidate.calibration is None
    found = read(evaluation(FIRST, Candidate=measured(Calibration=calibration()))).candidate.calibration
    assert (found.error, found.error_low, found.odds_too_sure) == (0.1, 0.0, 2.5)


def test_a_first_model_has_no_champion() -> None:
    found = read(evaluation(FIRST))
    assert (found.champion, found.paired) == (None, None)


def test_undefined_figures_are_none() -> None:
    found = read(evaluation(SECOND, low=None, Candidate=measured(BalancedAccuracy=figure(None))))
    assert (found.paired.difference.low, found.candidate.balanced_accuracy) == (None, exactly(None))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SnapshotDigest": "cd" * 32}, "the run is about"),
        ({"Schema": "evaluation/3"}, "Schema is 'evaluation/3', not 'evaluation/2' or 'evaluation/1'"),
        ({"Labels": "covid"}, "Labels is 'covid'"),
        ({"Labels": [*LABELS, "flu"]}, "has no field flu"),
        ({"Champion": None}, "come together"),
        ({"Paired": None}, "come together"),
        ({"Paired": {"Metric": "Accuracy", "Low": 0.1}}, "Metric is 'Accuracy'"),
        ({"Paired": PAIRED | {"Low": -2}}, "Low is -2"),
        ({"Paired": PAIRED | {"TooFew": 1}}, "TooFew is 1, neither true nor false"),
        ({"Paired": PAIRED | {"StandardError": 7}}, "StandardError is 7"),
        ({"Paired": PAIRED | {"DegreesOfFreedom": float("nan")}}, "DegreesOfFreedom is nan"),
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
        ({"Candidate": measured(BalancedAccuracy=figure(None, 0.5))}, "although its interval is defined"),
        ({"Candidate": measured(BalancedAccuracy=figure(0.5, 0.9))}, "Value is 0.5, not in its interval"),
        ({"Candidate": measured(BalancedAccuracy=figure(0.9, too_few=True))}, "although too few patients"),
        ({"Paired": PAIRED | {"Low": 0.9, "High": 1}}, "not in its interval"),
        ({"Candidate": measured(Calibration=calibration(Error={"Value": None, "Low": 0.5}))}, "interval is defined"),
        ({"Candidate": measured(Calibration=calibration(Error={"Value": 0.1, "Low": 0.5}))}, "not in its interval"),
        ({"Attempt": {"Number": 7, "Champion": None, "Reference": None}}, "although there is a champion"),
    ],
)
def test_anything_else_is_malformed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedDocument) as caught:
        read(evaluation(SECOND) | changes)
    assert said in str(caught.value)


def test_a_field_that_is_there_twice_is_malformed() -> None:
    twice = json.dumps(evaluation(SECOND)).replace('"TooFew": false', '"TooFew": false, "TooFew": false', 1)
    with pytest.raises(MalformedDocument, match="no JSON"):
        parse(twice.encode(), "ab" * 32)
