"""Builds evaluation/1 from plain arrays: the figures of the candidate, and of the champion on the same slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_code.evaluation import intervals, statistics
from model_code.evaluation.bootstrap import (
    DECIMALS,
    Figure,
    Floats,
    Ints,
    Resamples,
    drawn_by_patient,
    figure,
    rounded,
    units_of,
)
from model_code.evaluation.intervals import Clusters

SCHEMA = "evaluation/1"
PAIRED_METRIC = "BalancedAccuracy"


@dataclass(frozen=True)
class TestSet:
    """The held-out slices, the same for every model.

    ``targets``: N indices into ``labels``. ``patients``: each slice's patient, numbered from 0 without gaps.
    ``attributes``: each slice's value by DICOM keyword (or AgeBand), for the subgroups.
    """

    labels: tuple[str, ...]
    targets: Ints
    patients: Ints
    attributes: Mapping[str, Sequence[str]]

    @property
    def by_patient(self) -> bool:
        """Whether the intervals resample patients; otherwise slices, because a class has a single patient."""
        return drawn_by_patient(self.targets, self.patients)

    @property
    def clusters(self) -> Clusters:
        """The units of evidence for the intervals."""
        return Clusters(*units_of(self.targets, self.patients))

    def resamples(self, seed: int) -> Resamples:
        """Return the bootstrap's resamples of these slices, the same for every model, for paired comparisons."""
        return Resamples.drawn(self.targets, self.patients, seed)


@dataclass(frozen=True)
class Predictions:
    """One model on the test set: N x classes probabilities, with and without the ``temperature``."""

    identity: Mapping[str, str]
    temperature: float
    probabilities: Floats
    uncalibrated: Floats

    @property
    def predicted(self) -> Ints:
        """The class with the highest probability, per slice."""
        predicted: Ints = self.probabilities.argmax(axis=1)
        return predicted


def build(
    snapshot_digest: str, seed: int, cases: TestSet, candidate: Predictions, champion: Predictions | None
) -> dict[str, Any]:
    """Return the evaluation/1 document; equal arguments give equal documents."""
    resamples = cases.resamples(seed)
    return {
        "Schema": SCHEMA,
        "SnapshotDigest": snapshot_digest,
        "Labels": list(cases.labels),
        "Cases": _counts(cases),
        "Candidate": _measured(candidate, cases, resamples, seed),
        "Champion": _measured(champion, cases, resamples, seed) if champion else None,
        "Paired": _paired(candidate, champion, cases) if champion else None,
    }


def _counts(cases: TestSet) -> dict[str, Any]:
    def counted(mask: Any) -> dict[str, int]:
        return {"Slices": int(mask.sum()), "Patients": len(np.unique(cases.patients[mask]))}

    everything = np.ones(len(cases.targets), bool)
    by_class = {label: counted(cases.targets == index) for index, label in enumerate(cases.labels)}
    return counted(everything) | {"ByClass": by_class}


def _measured(predictions: Predictions, cases: TestSet, resamples: Resamples, seed: int) -> dict[str, Any]:
    confusion = _confusion(predictions, cases, resamples)
    clusters = cases.clusters
    balanced = figure(statistics.balanced_accuracy(confusion))
    if balanced.value is not None and not clusters.few:
        right = (predictions.predicted == cases.targets).astype(float)
        balanced = intervals.figure(balanced.value, intervals.mean_of_strata(right, clusters))
    return {
        "Model": dict(predictions.identity),
        "BalancedAccuracy": balanced.as_dict(),
        "Accuracy": figure(statistics.accuracy(confusion)).as_dict(),
        "Classes": _classes(predictions, cases),
        "ConfusionMatrix": confusion[0].astype(int).tolist(),
        "Calibration": _calibration(predictions, cases),
        "Subgroups": _subgroups(predictions, cases, seed),
    }


def _classes(predictions: Predictions, cases: TestSet) -> dict[str, Any]:
    """Return each class's sensitivity, specificity and AUC; their design effects are those of all classes."""
    clusters = cases.clusters
    sample = Resamples(np.ones((1, len(clusters.strata))), clusters.unit_of)
    right = (predictions.predicted == cases.targets).astype(float)
    of_hits = intervals.design_effect(right, clusters)
    rejections = [(predictions.predicted != index).astype(float) for index in range(len(cases.labels))]
    negatives = [cases.targets != index for index in range(len(cases.labels))]
    of_rejections = float(
        np.mean(
            [
                intervals.design_effect(rejected[negative], clusters.only(negative))
                for rejected, negative in zip(rejections, negatives, strict=True)
                if negative.any()
            ]
        )
    )
    found: dict[str, Any] = {}
    for index, label in enumerate(cases.labels):
        positive, scores = cases.targets == index, predictions.probabilities[:, index]
        rejected, negative = rejections[index], negatives[index]
        area = statistics.areas_under_curve(scores, positive, sample)[0]
        found[label] = {
            "Sensitivity": _share(right[positive], clusters.only(positive), of_hits, clusters).as_dict(),
            "Specificity": _share(rejected[negative], clusters.only(negative), of_rejections, clusters).as_dict(),
            "AUC": _area(area, scores, positive, clusters).as_dict(),
        }
    return found


def _share(right: Floats, part: Clusters, effect: float, whole: Clusters) -> Figure:
    if not len(right):
        return Figure(None, None, None)
    if whole.few:
        return Figure(rounded(right.mean()), None, None)
    return intervals.figure(float(right.mean()), intervals.proportion(right, part, effect, whole.spare))


def _area(value: float, scores: Floats, positive: Any, clusters: Clusters) -> Figure:
    if np.isnan(value):
        return Figure(None, None, None)
    if clusters.few or min(len(clusters.only(rows).strata) for rows in (positive, ~positive)) < 2:
        return Figure(rounded(value), None, None)
    return intervals.figure(float(value), intervals.area(float(value), scores, positive, clusters))


def _confusion(predictions: Predictions, cases: TestSet, resamples: Resamples) -> Floats:
    return statistics.confusion_matrices(predictions.predicted, cases.targets, len(cases.labels), resamples)


def _calibration(predictions: Predictions, cases: TestSet) -> dict[str, Any]:
    error, bins = statistics.calibration(predictions.probabilities, cases.targets)
    before, _ = statistics.calibration(predictions.uncalibrated, cases.targets)
    return {
        "Temperature": round(predictions.temperature, DECIMALS),
        "ECE": round(error, DECIMALS),
        "ECEUncalibrated": round(before, DECIMALS),
        "Bins": [
            {
                "Confidence": round(one.confidence, DECIMALS),
                "Accuracy": round(one.accuracy, DECIMALS),
                "Slices": one.slices,
            }
            for one in bins
        ],
    }


def _paired(candidate: Predictions, champion: Predictions, cases: TestSet) -> dict[str, Any]:
    """Return candidate minus champion, both on the same patients."""
    clusters = cases.clusters
    ours, theirs = ((one.predicted == cases.targets).astype(float) for one in (candidate, champion))
    found = Figure(None, None, None)
    if set(cases.targets.tolist()) == set(range(len(cases.labels))) and not clusters.few:
        found = intervals.difference(ours, theirs, clusters)
    return {"Metric": PAIRED_METRIC, "Difference": found.value, "Low": found.low, "High": found.high}


def _subgroups(predictions: Predictions, cases: TestSet, seed: int) -> list[dict[str, Any]]:
    return [
        {"Attribute": attribute, "Value": value} | _subgroup(predictions, cases, np.array(values) == value, seed)
        for attribute, values in cases.attributes.items()
        for value in sorted(set(values))
    ]


def _subgroup(predictions: Predictions, cases: TestSet, mask: Any, seed: int) -> dict[str, Any]:
    """Return a subgroup's balanced accuracy over the classes that occur in it: small subgroups rarely have all.

    The interval is None if one of its classes has a single patient.
    """
    targets, patients = cases.targets[mask], np.unique(cases.patients[mask], return_inverse=True)[1]
    resamples = Resamples.drawn(targets, patients, seed)
    confusion = statistics.confusion_matrices(predictions.predicted[mask], targets, len(cases.labels), resamples)
    found = figure(statistics.sensitivities(confusion)[:, np.unique(targets)].mean(axis=1))
    if not drawn_by_patient(targets, patients):
        found = Figure(found.value, None, None)
    return {
        "Patients": int(patients.max()) + 1,
        "Slices": len(targets),
        "BalancedAccuracy": found.as_dict(),
    }
