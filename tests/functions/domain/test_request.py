"""An execution input is taken whole or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain.errors import InvalidRequest
from functions.domain.request import AskedWeights, TrainingRequest, parse
from functions.domain.verdict import Risk

URI = "s3://training/cohorts/mine/manifest.json"
WEIGHTS = {"Uri": "s3://training/cohorts/weights.pth", "Licence": "BSD-3-Clause"}


def refused(document: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(document, "training")
    return str(caught.value)


def test_only_the_labels_must_be_named() -> None:
    assert parse({"LabelsUri": URI}, "training") == TrainingRequest(
        manifest_key="cohorts/mine/manifest.json", accepted_risks=(), seed=0, hyperparameters={}
    )


def test_everything_is_read() -> None:
    asked = parse(
        {
            "LabelsUri": "s3://training/cohorts/a b/Labels.CSV",
            "AcceptedRisks": ["TooFewPatients", "PatientAcrossSplit", "TooFewPatients"],
            "Seed": 7,
            "HyperParameters": {"epochs": 40, "learning_rate": 0.001, "model_name": "m"},
            "InitialWeights": WEIGHTS,
        },
        "training",
    )
    assert asked.manifest_key == "cohorts/a b/Labels.CSV"
    assert asked.accepted_risks == (Risk.PATIENT_ACROSS_SPLIT, Risk.TOO_FEW_PATIENTS)
    assert asked.seed == 7
    assert asked.initial_weights == AskedWeights(key="cohorts/weights.pth", licence="BSD-3-Clause")
    assert asked.hyperparameters == {"epochs": "40", "learning_rate": "0.001", "model_name": "m"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"LabelUri": URI}, "'LabelUri' is unknown"),
        ({"LabelsUri": None}, "LabelsUri is None"),
        ({"LabelsUri": "cohorts/mine/manifest.json"}, "not s3://training/cohorts/"),
        ({"LabelsUri": "s3://other/cohorts/mine/manifest.json"}, "names the bucket other"),
        ({"LabelsUri": "s3://training/cohorts/manifest.json"}, "names no folder"),
        ({"LabelsUri": "s3://training/runs/1/manifest.json"}, "names no folder"),
        ({"LabelsUri": "s3://training/cohorts/mine/labels.xlsx"}, "neither in .json nor in .csv"),
        ({"AcceptedRisks": "TooFewPatients"}, "AcceptedRisks is a text"),
        ({"AcceptedRisks": ["TooFewPatient"]}, "'TooFewPatient', which is no risk"),
        ({"AcceptedRisks": ["UndecodableSlice"]}, "'UndecodableSlice', which is no risk"),
        ({"AcceptedRisks": [[]]}, "names [], which is no risk"),
        ({"Seed": -1}, "Seed is -1"),
        ({"Seed": "0"}, "Seed is '0'"),
        ({"Seed": True}, "Seed is True"),
        ({"Seed": 2**32}, "Seed is 4294967296"),
        ({"InitialWeights": WEIGHTS["Uri"]}, "InitialWeights is a text, not an object with exactly Uri and Licence"),
        ({"InitialWeights": {"Uri": WEIGHTS["Uri"]}}, "an object, not an object with exactly Uri and Licence"),
        ({"InitialWeights": WEIGHTS | {"SHA256": "0"}}, "an object, not an object with exactly Uri and Licence"),
        ({"InitialWeights": WEIGHTS | {"Uri": "weights.pth"}}, "InitialWeights.Uri is 'weights.pth', not s3://"),
        ({"InitialWeights": WEIGHTS | {"Uri": None}}, "InitialWeights.Uri is None"),
        ({"InitialWeights": WEIGHTS | {"Uri": "s3://other/cohorts/w.pth"}}, "Uri is 's3://other/cohorts/w.pth', not"),
        ({"InitialWeights": WEIGHTS | {"Uri": "s3://training/runs/1/w.pth"}}, "not s3://training/cohorts/<name>"),
        ({"InitialWeights": WEIGHTS | {"Uri": "s3://training/cohorts/"}}, "not s3://training/cohorts/<name>"),
        ({"InitialWeights": WEIGHTS | {"Licence": " "}}, "InitialWeights.Licence is ' ', not a text of 1 to 1000"),
        ({"InitialWeights": WEIGHTS | {"Licence": "x" * 1001}}, "not a text of 1 to 1000 characters"),
        ({"InitialWeights": WEIGHTS | {"Licence": ["MIT"]}}, "InitialWeights.Licence is ['MIT']"),
        ({"HyperParameters": []}, "HyperParameters is a list"),
        ({"HyperParameters": {"epochs": True}}, "'epochs' is true or false"),
        ({"HyperParameters": {"epochs": None}}, "'epochs' is null"),
        ({"HyperParameters": {"seed": "1"}}, "'seed', which the workflow sets itself"),
        ({"HyperParameters": {"model_version": "1"}}, "'model_version', which the workflow sets itself"),
        ({"HyperParameters": {"model_name": "lungs (v2)"}}, "model_name is 'lungs (v2)': 1 to 64 letters"),
        ({"HyperParameters": {"model_name": "m" * 65}}, "1 to 64 letters"),
        ({"HyperParameters": {"model_name": "a\tb"}}, "1 to 64 letters"),
        ({"HyperParameters": {"": "1"}}, "too long for SageMaker"),
        ({"HyperParameters": {str(n): "1" for n in range(101)}}, "has 101 entries"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in refused({"LabelsUri": URI} | changes)


def test_everything_wrong_is_named_at_once() -> None:
    message = refused({"Seed": -1, "Labels": URI})
    assert all(part in message for part in ("Labels", "LabelsUri", "Seed"))


@pytest.mark.parametrize("document", [None, [], "x", 3])
def test_an_input_that_is_not_an_object_is_refused(document: Any) -> None:
    assert "not an object" in refused(document)
