"""evaluation/1 from plain arrays: its schema, its pairing, its subgroups, and what it leaves undefined."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from model_code.evaluation import document as evaluating
from model_code.evaluation.document import Predictions, build

LABELS = ("normal", "cap", "covid")
rng = np.random.default_rng(0)


def made_cases(patients: int = 12, slices: int = 4, labels: tuple[str, ...] = LABELS) -> evaluating.TestSet:
    """Patients of each class in turn."""
    numbers = np.repeat(np.arange(patients), slices)
    return evaluating.TestSet(
        labels=labels,
        targets=numbers % 3,
        patients=numbers,
        attributes={"PatientSex": ["FM"[number // 3 % 2] for number in numbers]},
    )


def made_predictions(
    cases: evaluating.TestSet, right: float, version: str = "1", temperature: float = 1.0
) -> Predictions:
    """Predictions of which a part is right, uncalibrated and divided by the temperature."""
    predicted = np.where(rng.random(len(cases.targets)) < right, cases.targets, (cases.targets + 1) % 3)
    logits = rng.normal(0, 0.3, (len(predicted), 3)) + 3 * np.eye(3)[predicted]

    def softmax(values: np.ndarray) -> np.ndarray:
        powers = np.exp(values)
        return powers / powers.sum(axis=1, keepdims=True)

    identity = {"Name": "chest-ct", "Version": version, "WeightsSHA256": "a" * 64}
    return Predictions(identity, temperature, softmax(logits / temperature), softmax(logits))


def test_the_document_follows_its_schema() -> None:
    cases = made_cases()
    champion, candidate = made_predictions(cases, 0.6), made_predictions(cases, 0.9, temperature=2.0)
    document = build("d" * 64, 0, cases, candidate, champion)
    assert list(document) == ["Schema", "SnapshotDigest", "Labels", "Cases", "Candidate", "Champion", "Paired"]
    assert (document["Schema"], document["SnapshotDigest"], document["Labels"]) == (
        "evaluation/1",
        "d" * 64,
        list(LABELS),
    )
    per_class = {"Slices": 16, "Patients": 4}
    assert document["Cases"] == {"Slices": 48, "Patients": 12, "ByClass": dict.fromkeys(LABELS, per_class)}
    for model in (document["Candidate"], document["Champion"]):
        assert list(model) == [
            "Model",
            "BalancedAccuracy",
            "Accuracy",
            "Classes",
            "ConfusionMatrix",
            "Calibration",
            "Subgroups",
        ]
        assert list(model["Classes"]) == list(LABELS)
        assert all(list(one) == ["Sensitivity", "Specificity", "AUC"] for one in model["Classes"].values())
        assert list(model["Calibration"]) == ["Temperature", "ECE", "ECEUncalibrated", "Bins"]
        assert sum(one["Slices"] for one in model["Calibration"]["Bins"]) == 48
        assert np.sum(model["ConfusionMatrix"], axis=1).tolist() == [16, 16, 16]
        figures = [
            model["BalancedAccuracy"],
            model["Accuracy"],
            *(f for c in model["Classes"].values() for f in c.values()),
        ]
        assert all(0 <= one["Low"] <= one["Value"] <= one["High"] <= 1 for one in figures)
    assert document["Candidate"]["Calibration"]["Temperature"] == 2.0
    assert document["Candidate"]["Calibration"]["ECE"] != document["Candidate"]["Calibration"]["ECEUncalibrated"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_figures_are_those_of_the_confusion_matrix() -> None:
    cases = made_cases()
    model = build("d", 0, cases, made_predictions(cases, 0.7), None)["Candidate"]
    matrix = np.array(model["ConfusionMatrix"])
    sensitivities = [model["Classes"][label]["Sensitivity"]["Value"] for label in LABELS]
    assert sensitivities == pytest.approx(np.diag(matrix) / 16, abs=1e-4)
    assert model["BalancedAccuracy"]["Value"] == pytest.approx(np.mean(sensitivities), abs=1e-4)
    assert model["Accuracy"]["Value"] == pytest.approx(np.trace(matrix) / 48, abs=1e-4)


def test_the_first_model_has_nothing_to_be_compared_with() -> None:
    cases = made_cases()
    document = build("d", 0, cases, made_predictions(cases, 0.9), None)
    assert (document["Champion"], document["Paired"]) == (None, None)


def paired(candidate: float, champion: float) -> dict[str, Any]:
    cases = made_cases(patients=30)
    found: dict[str, Any] = build("d", 0, cases, made_predictions(cases, candidate), made_predictions(cases, champion))[
        "Paired"
    ]
    assert found["Metric"] == "BalancedAccuracy"
    return found


def test_a_better_candidate_is_better_for_certain_and_a_worse_one_worse() -> None:
    better, worse = paired(0.95, 0.6), paired(0.6, 0.95)
    assert 0 < better["Low"] < better["Difference"] < better["High"] <= 1
    assert -1 <= worse["Low"] < worse["Difference"] < worse["High"] < 0


def test_the_same_model_differs_by_nothing_though_both_are_uncertain() -> None:
    cases = made_cases()
    predictions = made_predictions(cases, 0.7)
    document = build("d", 0, cases, predictions, predictions)
    found = document["Paired"]
    assert found["Difference"] == 0
    assert found["Low"] < -0.05 < 0.05 < found["High"], "twelve patients cannot show that two models are the same"
    assert document["Candidate"]["BalancedAccuracy"]["Low"] < document["Candidate"]["BalancedAccuracy"]["High"]


def test_the_seed_decides_the_intervals_and_nothing_else() -> None:
    cases = made_cases()
    predictions = made_predictions(cases, 0.8)
    first, again, other = (build("d", seed, cases, predictions, None) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first["Candidate"]["ConfusionMatrix"] == other["Candidate"]["ConfusionMatrix"]


def test_a_class_that_is_missing_leaves_figures_undefined() -> None:
    whole = made_cases()
    there = whole.targets != 2
    cases = evaluating.TestSet(
        LABELS, whole.targets[there], np.unique(whole.patients[there], return_inverse=True)[1], {}
    )
    model = build("d", 0, cases, made_predictions(cases, 1.0), None)["Candidate"]
    undefined = {"Value": None, "Low": None, "High": None}
    assert model["BalancedAccuracy"] == undefined
    assert model["Classes"]["covid"]["Sensitivity"] == undefined
    assert model["Classes"]["covid"]["AUC"] == undefined
    assert model["Classes"]["covid"]["Specificity"]["Value"] is not None
    assert model["Classes"]["cap"]["AUC"]["Value"] is not None


def test_subgroups_are_counted_and_measured_on_their_own() -> None:
    cases = made_cases()
    women = np.array(cases.attributes["PatientSex"]) == "F"
    predictions = made_predictions(cases, 1.0)
    wrong = predictions.probabilities.copy()
    wrong[women] = np.roll(wrong[women], 1, axis=1)
    failing = Predictions(predictions.identity, 1.0, wrong, wrong)
    found = build("d", 0, cases, failing, None)["Candidate"]["Subgroups"]
    assert [(one["Attribute"], one["Value"], one["Patients"], one["Slices"]) for one in found] == [
        ("PatientSex", "F", 6, 24),
        ("PatientSex", "M", 6, 24),
    ]
    assert [one["BalancedAccuracy"]["Value"] for one in found] == [0, 1]


def test_a_subgroup_is_the_mean_of_the_classes_in_it_without_a_false_interval() -> None:
    cases = made_cases()
    groups = ["one" if patient == 0 else "few" if patient < 5 else "rest" for patient in cases.patients]
    cases = evaluating.TestSet(cases.labels, cases.targets, cases.patients, {"AgeBand": groups})
    found = build("d", 0, cases, made_predictions(cases, 0.7), None)["Candidate"]["Subgroups"]
    by_value = {one["Value"]: one for one in found}
    assert (by_value["one"]["Patients"], by_value["few"]["Patients"], by_value["rest"]["Patients"]) == (1, 4, 7)
    assert by_value["one"]["BalancedAccuracy"]["Value"] is not None
    assert by_value["one"]["BalancedAccuracy"]["Low"] is None
    assert by_value["rest"]["BalancedAccuracy"]["Low"] < by_value["rest"]["BalancedAccuracy"]["High"]
