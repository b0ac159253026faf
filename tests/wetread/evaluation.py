"""An evaluation/1 document, as the container writes it."""

from __future__ import annotations

from typing import Any

LABELS = ("normal", "cap", "covid")


def figure(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"Value": value, "Low": low, "High": high}


def model(name: str, balanced_accuracy: float) -> dict[str, Any]:
    classes = {
        label: {"Sensitivity": figure(0.9, 0.8, 1.0), "Specificity": figure(0.95), "AUC": figure(None)}
        for label in LABELS
    }
    return {
        "Model": {"Name": name, "Version": "ab12", "WeightsSHA256": "ab" * 32},
        "BalancedAccuracy": figure(balanced_accuracy, balanced_accuracy - 0.1, balanced_accuracy + 0.05),
        "Accuracy": figure(0.91, 0.82, 0.97),
        "Classes": classes,
        "ConfusionMatrix": [[11, 1, 0], [0, 12, 0], [2, 0, 10]],
        "Calibration": {"Temperature": 1.25, "ECE": 0.04, "ECEUncalibrated": 0.09, "Bins": []},
        "Subgroups": [
            {
                "Attribute": "PatientSex",
                "Value": "F",
                "Patients": 5,
                "Slices": 20,
                "BalancedAccuracy": figure(0.88, 0.7, 1.0),
            }
        ],
    }


def evaluation(*, champion: bool = False) -> dict[str, Any]:
    return {
        "Schema": "evaluation/1",
        "SnapshotDigest": "cd" * 32,
        "Labels": list(LABELS),
        "Cases": {
            "Slices": 36,
            "Patients": 9,
            "ByClass": {label: {"Slices": 12, "Patients": 3} for label in LABELS},
        },
        "Candidate": model("candidate", 0.9),
        "Champion": model("champion", 0.8) if champion else None,
        "Paired": {"Metric": "BalancedAccuracy", "Difference": 0.1, "Low": -0.02, "High": 0.2} if champion else None,
    }
