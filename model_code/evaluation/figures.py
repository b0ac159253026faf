"""The figures of labelled cases, slices or studies, with intervals that count patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_code.evaluation import intervals, statistics
from model_code.evaluation.bootstrap import Figure, Floats, Ints, Resamples
from model_code.evaluation.intervals import FEWEST_PATIENTS, TOO_FEW, UNDEFINED, Clusters, Rows


def once(clusters: Clusters) -> Resamples:
    """Return the sample itself."""
    return Resamples(np.ones((1, len(clusters.strata))), clusters.unit_of)


def balanced(right: Floats, targets: Ints, clusters: Clusters, classes: int) -> Figure:
    """Return the balanced accuracy; undefined unless every class has cases."""
    if set(targets.tolist()) != set(range(classes)):
        return UNDEFINED
    if few(clusters, classes):
        return TOO_FEW
    return intervals.mean_of_classes(right, clusters)


def few(clusters: Clusters, classes: int) -> bool:
    """Return whether a class has too few patients for a figure that counts the classes equally."""
    return len(clusters.classes) < classes or clusters.fewest < FEWEST_PATIENTS


def of_classes(
    labels: Sequence[str], targets: Ints, predicted: Ints, scores: Floats, answered: Rows, clusters: Clusters
) -> dict[str, Any]:
    """Return each class's sensitivity, specificity and AUC; their design effects are those of all classes.

    ``scores`` are N x classes. A case that is not ``answered`` is right for nothing, and has no part in an AUC.
    """
    right = ((predicted == targets) & answered).astype(float)
    of_hits = intervals.design_effect(right, clusters)
    rejections = [((predicted != index) & answered).astype(float) for index in range(len(labels))]
    negatives = [targets != index for index in range(len(labels))]
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
    for index, label in enumerate(labels):
        positive, rejected, negative = targets == index, rejections[index], negatives[index]
        found[label] = {
            "Sensitivity": share(right[positive], clusters.only(positive), of_hits, clusters).as_dict(),
            "Specificity": share(rejected[negative], clusters.only(negative), of_rejections, clusters).as_dict(),
            "AUC": area(scores[answered, index], positive[answered], clusters.only(answered)).as_dict(),
        }
    return found


def share(right: Floats, part: Clusters, effect: float, whole: Clusters) -> Figure:
    """Return a share of cases; ``part`` are their patients, ``whole`` those of all."""
    if not len(right):
        return UNDEFINED
    if len(part.strata) < FEWEST_PATIENTS:
        return TOO_FEW
    return Figure.of(float(right.mean()), intervals.proportion(right, part, effect, whole.spare))


def area(scores: Floats, positive: Rows, clusters: Clusters) -> Figure:
    """Return the area under the ROC curve."""
    if positive.all() or not positive.any():
        return UNDEFINED
    if min(len(clusters.only(rows).strata) for rows in (positive, ~positive)) < FEWEST_PATIENTS:
        return TOO_FEW
    value = float(statistics.areas_under_curve(scores, positive, once(clusters))[0])
    return Figure.of(value, intervals.area(value, scores, positive, clusters))
