"""Builds evaluation/2 from plain arrays: the figures of the candidate, and of the champion on the same slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aggregation.rule import SIMPLE, Rule
from model_code.evaluation import abstention, calibration_error, figures, intervals, statistics
from model_code.evaluation.bootstrap import DECIMALS, Figure, Floats, Ints
from model_code.evaluation.intervals import FEWEST_PATIENTS, TOO_FEW, UNDEFINED, Clusters, Difference, Rows

SCHEMA = "evaluation/2"
PAIRED_METRIC = "BalancedAccuracy"


@dataclass(frozen=True)
class TestSet:
    """The held-out slices, the same for every model.

    ``targets``: N indices into ``labels``. ``patients``: each slice's patient, numbered from 0 without gaps.
    ``attributes``: each slice's value by DICOM keyword (or AgeBand), for the subgroups. ``synthetic``: how many slices
    are artificial by their SyntheticData. ``folds``: by how many models of each candidate and champion they were read,
    0 if by each itself. ``positions``: where each slice lies in its series, None where that is not known.
    """

    labels: tuple[str, ...]
    targets: Ints
    patients: Ints
    attributes: Mapping[str, Sequence[str]]
    synthetic: int = 0
    folds: int = 0
    positions: tuple[float | None, ...] = ()

    @property
    def clusters(self) -> Clusters:
        """The units of evidence for the intervals: the patients, each in the class of most of their slices."""
        counts = np.zeros((int(self.patients.max(initial=-1)) + 1, len(self.labels)))
        np.add.at(counts, (self.patients, self.targets), 1)
        return Clusters(self.patients, counts.argmax(axis=1), self.targets)


@dataclass(frozen=True)
class Predictions:
    """One model on the test set: N x classes probabilities, with and without the ``temperature``.

    ``synthetic``: the model has seen nothing but artificial slices.
    ``abstained``: on which slices it would give no class; None for a model that abstains on nothing. ``study``: how it
    reads studies, and ``studies``: how each fold's model does, in which a patient is tested.
    """

    identity: Mapping[str, str]
    temperature: float
    probabilities: Floats
    uncalibrated: Floats
    abstained: abstention.Mask | None = None
    synthetic: bool = False
    study: Rule = SIMPLE
    studies: Mapping[int, Rule] = field(default_factory=dict)

    @property
    def predicted(self) -> Ints:
        """The class with the highest probability, per slice."""
        predicted: Ints = self.probabilities.argmax(axis=1)
        return predicted


def build(snapshot_digest: str, cases: TestSet, candidate: Predictions, champion: Predictions | None) -> dict[str, Any]:
    """Return the evaluation/2 document; equal arguments give equal documents."""
    return {
        "Schema": SCHEMA,
        "SnapshotDigest": snapshot_digest,
        "Labels": list(cases.labels),
        "Cases": _counts(cases),
        "FewestPatients": FEWEST_PATIENTS,
        "Candidate": _measured(candidate, cases),
        "Champion": _measured(champion, cases) if champion else None,
        "Paired": _paired(candidate, champion, cases) if champion else None,
    }


def _counts(cases: TestSet) -> dict[str, Any]:
    def counted(mask: Any) -> dict[str, int]:
        return {"Slices": int(mask.sum()), "Patients": len(np.unique(cases.patients[mask]))}

    everything = np.ones(len(cases.targets), bool)
    by_class = {label: counted(cases.targets == index) for index, label in enumerate(cases.labels)}
    synthetic = {"Synthetic": cases.synthetic} if cases.synthetic else {}
    return counted(everything) | {"ByClass": by_class} | synthetic


def _measured(predictions: Predictions, cases: TestSet) -> dict[str, Any]:
    confusion = statistics.confusion_matrices(
        predictions.predicted, cases.targets, len(cases.labels), figures.once(cases.clusters)
    )
    right = (predictions.predicted == cases.targets).astype(float)
    clusters = cases.clusters
    accuracy = figures.share(right, clusters, intervals.design_effect(right, clusters), clusters)
    return {
        "Model": dict(predictions.identity) | ({"Synthetic": True} if predictions.synthetic else {}),
        "BalancedAccuracy": figures.balanced(right, cases.targets, clusters, len(cases.labels)).as_dict(),
        "Accuracy": accuracy.as_dict(),
        "Classes": figures.of_classes(
            cases.labels,
            cases.targets,
            predictions.predicted,
            predictions.probabilities,
            np.ones(len(cases.targets), np.bool_),
            clusters,
        ),
        "ConfusionMatrix": confusion[0].astype(int).tolist(),
        "Calibration": calibrated(predictions, cases),
        "Subgroups": _subgroups(predictions, cases),
        "Abstention": abstention.counts(
            predictions.probabilities, predictions.abstained, cases.targets, cases.labels, cases.attributes
        ),
    }


def calibrated(predictions: Predictions, cases: TestSet) -> dict[str, Any]:
    """Return how far a model's probabilities are from frequencies: the document's Calibration."""
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
        **_by_class(predictions, cases),
    }


def _by_class(predictions: Predictions, cases: TestSet) -> dict[str, Any]:
    """Return the calibration error as a whole and of each class, and the odds that the model is too sure of itself."""
    given = predictions.probabilities, cases.targets, cases.patients
    errors, error = calibration_error.errors(*given)
    offsets = calibration_error.offsets(*given)
    return {
        "Error": error.as_dict(),
        "Classes": {
            label: {"Error": of_class.as_dict(), "Offset": offset.as_dict()}
            for label, of_class, offset in zip(cases.labels, errors, offsets, strict=True)
        },
        "OddsTooSure": round(calibration_error.odds_too_sure(*given), DECIMALS),
    }


def _paired(candidate: Predictions, champion: Predictions, cases: TestSet) -> dict[str, Any]:
    """Return candidate minus champion, both on the same patients."""
    ours, theirs = ((one.predicted == cases.targets).astype(float) for one in (candidate, champion))
    if set(cases.targets.tolist()) != set(range(len(cases.labels))):
        found = Difference(UNDEFINED)
    elif figures.few(cases.clusters, len(cases.labels)):
        found = Difference(TOO_FEW)
    else:
        found = intervals.difference(ours, theirs, cases.clusters, cases.folds)
    return {
        "Metric": PAIRED_METRIC,
        "Difference": found.figure.value,
        "Low": found.figure.low,
        "High": found.figure.high,
        "TooFew": found.figure.too_few,
        "StandardError": found.standard_error,
        "DegreesOfFreedom": found.spare,
    }


def _subgroups(predictions: Predictions, cases: TestSet) -> list[dict[str, Any]]:
    return [
        {"Attribute": attribute, "Value": value} | _subgroup(predictions, cases, np.array(values) == value)
        for attribute, values in cases.attributes.items()
        for value in sorted(set(values))
    ]


def _subgroup(predictions: Predictions, cases: TestSet, mask: Rows) -> dict[str, Any]:
    """Return a subgroup's balanced accuracy over the classes that occur in it: small subgroups rarely have all.

    The interval is None if one of its classes has a single patient.
    """
    clusters = cases.clusters.only(mask)
    right = (predictions.predicted == cases.targets)[mask].astype(float)
    found = TOO_FEW
    if len(clusters.strata) >= FEWEST_PATIENTS:
        found = intervals.mean_of_classes(right, clusters)
        found = found if clusters.fewest > 1 else Figure(found.value, None, None)
    return {
        "Patients": len(clusters.strata),
        "Slices": int(mask.sum()),
        "BalancedAccuracy": found.as_dict(),
    }
