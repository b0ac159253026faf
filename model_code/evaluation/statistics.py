"""The figures of a classifier, each for the sample and all its resamples at once.

The axis "resamples" of an array has one entry for each row of ``Resamples.weights``. An undefined figure, such as the
sensitivity for a class without slices, is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_code.evaluation.bootstrap import Floats, Ints, Resamples

CALIBRATION_BINS = 10
# Resamples that are weighted at once; it bounds the memory and does not change the result.
CHUNK = 200


@dataclass(frozen=True)
class CalibrationBin:
    """The slices with their highest probability in one tenth: mean ``confidence``, and the share that is right."""

    confidence: float
    accuracy: float
    slices: int


def confusion_matrices(predicted: Ints, targets: Ints, classes: int, resamples: Resamples) -> Floats:
    """Return counts of slices: resamples x true class x predicted class."""
    of_unit = np.zeros((resamples.weights.shape[1], classes * classes))
    np.add.at(of_unit, (resamples.unit_of, targets * classes + predicted), 1)
    counts: Floats = (resamples.weights @ of_unit).reshape(-1, classes, classes)
    return counts


def sensitivities(confusion: Floats) -> Floats:
    """Return the share of each class's slices that is predicted as this class: resamples x classes."""
    return _ratio(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2))


def specificities(confusion: Floats) -> Floats:
    """Return the share of the other classes' slices that is not predicted as each class: resamples x classes."""
    others = confusion.sum(axis=(1, 2))[:, None] - confusion.sum(axis=2)
    called = confusion.sum(axis=1) - np.diagonal(confusion, axis1=1, axis2=2)
    return _ratio(others - called, others)


def accuracy(confusion: Floats) -> Floats:
    """Return the share of all slices that is predicted right, per resample."""
    return _ratio(np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2)))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Return the mean of the sensitivities per resample; undefined unless every class has slices."""
    mean: Floats = sensitivities(confusion).mean(axis=1)
    return mean


def areas_under_curve(scores: Floats, positive: npt.NDArray[np.bool_], resamples: Resamples) -> Floats:
    """Return the area under the ROC curve per resample: how often a positive slice scores higher; a tie counts half."""
    order = np.argsort(scores, kind="stable")
    tied = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)  # where each run of equal scores starts
    unit_of, truth = resamples.unit_of[order], positive[order]
    areas: list[Floats] = []
    for start in range(0, len(resamples.weights), CHUNK):
        weights = resamples.weights[start : start + CHUNK][:, unit_of]
        positives = np.add.reduceat(weights * truth, tied, axis=1)
        negatives = np.add.reduceat(weights * ~truth, tied, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        areas.append(_ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1)))
    return np.concatenate(areas)


def roc_curve(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return false and true positive rates, from (0, 0) to (1, 1), with a point for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf) < 0)  # where each run of equal scores ends
    hits = np.cumsum(positive[order])[last]
    alarms = 1 + last - hits
    rates = [_ratio(np.concatenate([[0], counts]), np.array(counts[-1])) for counts in (alarms, hits)]
    return rates[0], rates[1]


def calibration(probabilities: Floats, targets: Ints) -> tuple[float, tuple[CalibrationBin, ...]]:
    """Return the expected calibration error of N x classes probabilities, and its bins that have slices.

    The error is the difference between confidence and accuracy, averaged over the slices.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    tenth = np.minimum((confidence * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    bins = tuple(
        CalibrationBin(float(confidence[tenth == one].mean()), float(right[tenth == one].mean()), int(count))
        for one, count in enumerate(np.bincount(tenth, minlength=CALIBRATION_BINS))
        if count
    )
    error = sum(abs(one.confidence - one.accuracy) * one.slices for one in bins) / len(targets)
    return error, bins


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return ``part`` / ``whole``; NaN, without a warning, where the whole is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    ratio: Floats = np.divide(part, whole, out=np.full(shape, np.nan), where=np.broadcast_to(whole != 0, shape))
    return ratio
