"""evaluation/2 from plain arrays: its schema, its pairing, its subgroups, and what it leaves undefined."""

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
    document = build("d" * 64, cases, candidate, champion)
    assert list(document) == [
        "Schema",
        "SnapshotDigest",
        "Labels",
        "Cases",
        "FewestPatients",
        "Candidate",
        "Champion",
        "Paired",
    ]
    assert (document["Schema"], document["SnapshotDigest"], document["Labels"]) == (
        "evaluation/2",
        "d" * 64,
        list(LABELS),
    )
    assert list(document["Paired"]) == [
        "Metric",
        "Difference",
        "Low",
        "High",
        "TooFew",
        "StandardError",
        "DegreesOfFreedom",
    ]
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
            "Abstention",
        ]
        assert list(model["Classes"]) == list(LABELS)
        assert all(list(one) == ["Sensitivity", "Specificity", "AUC"] for one in model["Classes"].values())
        assert list(model["Calibration"]) == [
            "Temperature",
            "ECE",
            "ECEUncalibrated",
            "Bins",
            "Error",
            "Classes",
            "OddsTooSure",
        ]
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
    model = build("d", cases, made_predictions(cases, 0.7), None)["Candidate"]
    matrix = np.array(model["ConfusionMatrix"])
    sensitivities = [model["Classes"][label]["Sensitivity"]["Value"] for label in LABELS]
    assert sensitivities == pytest.approx(np.diag(matrix) / 16, abs=1e-4)
    assert model["BalancedAccuracy"]["Value"] == pytest.approx(np.mean(sensitivities), abs=1e-4)
    assert model["Accuracy"]["Value"] == pytest.approx(np.trace(matrix) / 48, abs=1e-4)


def test_the_first_model_has_nothing_to_be_compared_with() -> None:
    cases = made_cases()
    document = build("d", cases, made_predictions(cases, 0.9), None)
    assert (document["Champion"], document["Paired"]) == (None, None)


def paired(candidate: float, champion: float) -> dict[str, Any]:
    cases = made_cases(patients=30)
    found: dict[str, Any] = build("d", cases, made_predictions(cases, candidate), made_predictions(cases, champion))[
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
    document = build("d", cases, predictions, predictions)
    found = document["Paired"]
    assert found["Difference"] == 0
    assert found["Low"] < -0.05 < 0.05 < found["High"], "twelve patients cannot show that two models are the same"
    assert document["Candidate"]["BalancedAccuracy"]["Low"] < document["Candidate"]["BalancedAccuracy"]["High"]


def test_a_class_that_is_missing_leaves_figures_undefined() -> None:
    whole = made_cases()
    there = whole.targets != 2
    cases = evaluating.TestSet(
        LABELS, whole.targets[there], np.unique(whole.patients[there], return_inverse=True)[1], {}
    )
    model = build("d", cases, made_predictions(cases, 1.0), None)["Candidate"]
    undefined = {"Value": None, "Low": None, "High": None, "TooFew": False}
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
    found = build("d", cases, failing, None)["Candidate"]["Subgroups"]
    assert [(one["Attribute"], one["Value"], one["Patients"], one["Slices"]) for one in found] == [
        ("PatientSex", "F", 6, 24),
        ("PatientSex", "M", 6, 24),
    ]
    assert [one["BalancedAccuracy"]["Value"] for one in found] == [0, 1]


def test_of_fewer_than_four_patients_of_a_class_no_figure_is_given() -> None:
    cases = made_cases(patients=11)  # four normal, four cap, three covid
    predictions = made_predictions(cases, 0.9)
    document = build("d", cases, predictions, predictions)
    too_few = {"Value": None, "Low": None, "High": None, "TooFew": True}
    found = document["Candidate"]
    assert document["FewestPatients"] == 4
    assert found["BalancedAccuracy"] == found["Classes"]["covid"]["Sensitivity"] == too_few
    assert found["Classes"]["covid"]["AUC"] == too_few
    assert found["Classes"]["covid"]["Specificity"]["Value"] is not None, "eight patients are not of covid"
    assert found["Classes"]["cap"]["Sensitivity"]["Value"] is not None
    assert (document["Paired"]["Difference"], document["Paired"]["TooFew"]) == (None, True)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_no_interval_is_without_width_though_all_slices_are_right_or_wrong(right: float) -> None:
    cases = made_cases()
    predictions = made_predictions(cases, right)
    found = build("d", cases, predictions, predictions)
    model, paired = found["Candidate"], found["Paired"]
    figures = [
        model["BalancedAccuracy"],
        model["Accuracy"],
        *(f for c in model["Classes"].values() for f in c.values()),
    ]
    assert all(figure["Low"] < figure["High"] for figure in (*figures, paired))


def test_a_patients_slices_count_once_where_they_are_alike_however_many_there_are() -> None:
    few, many = made_cases(patients=24, slices=1), made_cases(patients=24, slices=10)
    one = made_predictions(few, 0.8)
    alike = np.repeat(one.probabilities, 10, axis=0)
    ten = Predictions(one.identity, 1.0, alike, alike)
    figures = [
        build("d", cases, model, None)["Candidate"]["BalancedAccuracy"] for cases, model in ((few, one), (many, ten))
    ]
    assert figures[0] == figures[1]


def test_one_patient_with_most_of_the_slices_is_little_evidence() -> None:
    numbers = np.repeat(np.arange(24), [100, 100, 100] + 21 * [1])
    cases = evaluating.TestSet(LABELS, numbers % 3, numbers, {})
    even = made_cases(patients=24, slices=13)
    uneven, equal = (build("d", one, made_predictions(one, 0.8), None)["Candidate"] for one in (cases, even))

    def width(figure: dict[str, float]) -> float:
        return figure["High"] - figure["Low"]

    assert width(uneven["BalancedAccuracy"]) > 1.5 * width(equal["BalancedAccuracy"])


def test_a_subgroup_is_the_mean_of_the_classes_in_it_without_a_false_interval() -> None:
    cases = made_cases()
    groups = ["one" if patient == 0 else "few" if patient < 5 else "rest" for patient in cases.patients]  # few: 4
    cases = evaluating.TestSet(cases.labels, cases.targets, cases.patients, {"AgeBand": groups})
    found = build("d", cases, made_predictions(cases, 0.7), None)["Candidate"]["Subgroups"]
    by_value = {one["Value"]: one for one in found}
    assert (by_value["one"]["Patients"], by_value["few"]["Patients"], by_value["rest"]["Patients"]) == (1, 4, 7)
    assert by_value["one"]["BalancedAccuracy"] == {"Value": None, "Low": None, "High": None, "TooFew": True}
    assert by_value["few"]["BalancedAccuracy"]["Value"] is not None
    assert by_value["few"]["BalancedAccuracy"]["Low"] is None, "two of its classes have a single patient"
    assert by_value["rest"]["BalancedAccuracy"]["Low"] < by_value["rest"]["BalancedAccuracy"]["High"]
