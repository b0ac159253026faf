"""Measures how a model reads whole studies, by the rule and the code that serve.

The figures are of studies that are series. A few chosen slices say nothing of a study's answer, so a study with fewer
is counted and named, and so is one whose labels contradict each other. The unit of evidence is the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aggregation.rule import SIMPLE
from aggregation.study import FEWEST_SLICES, read_study
from model_code.evaluation import figures
from model_code.evaluation.bootstrap import DECIMALS
from model_code.evaluation.document import Predictions, TestSet
from model_code.evaluation.intervals import Clusters, Rows
from model_code.snapshot import Case
from model_code.studies import Said, Study, studies_of

MOST_LINES = 20  # that are named


Part = tuple[Sequence[Case], TestSet, Predictions]
"""Slices that a model has read: those with a label of their own, or those without."""


def find_studies(parts: Sequence[Part]) -> list[Study]:
    """Return the studies of slices, as a model reads them."""
    cases = [case for some, _, _ in parts for case in some]
    labels = parts[0][1].labels
    positions = [one for some, test, _ in parts for one in test.positions or [None] * len(some)]
    answered = [np.zeros(len(some), np.bool_) if read.abstained is None else read.abstained for some, _, read in parts]
    said = Said(np.concatenate([read.probabilities for _, _, read in parts]), positions, np.concatenate(answered))
    return studies_of(cases, said, labels, SIMPLE.reference_of(labels))


def counts(studies: Sequence[Study]) -> dict[str, Any]:
    """Return the field Studies of the document's Cases: how many are measured, and the lines of those that are not."""
    few = [study.line for study in studies if not study.is_series]
    contradictory = [study.line for study in studies if study.is_series and study.label is None]
    return {
        "Studies": len(studies) - len(few) - len(contradictory),
        "FewestSlices": FEWEST_SLICES,
        "NoSeries": len(few),
        "NoSeriesLines": few[:MOST_LINES],
        "Contradictory": len(contradictory),
        "ContradictoryLines": contradictory[:MOST_LINES],
    }


def measured(studies: Sequence[Study], predictions: Predictions, labels: Sequence[str]) -> dict[str, Any] | None:
    """Return the field Study of a measured model; None without a study that is a series.

    A study on which the model abstains is right for nothing, and has no part in an AUC.
    """
    known = [(study, label) for study in studies if study.is_series and (label := study.label) is not None]
    if not known:
        return None
    reads = [read_study(one.slices, predictions.studies.get(one.fold, predictions.study)) for one, _ in known]
    targets = np.array([labels.index(label) for _, label in known], np.intp)
    patients = np.unique([one.patient for one, _ in known], return_inverse=True)[1]
    answered: Rows = np.array([read.predicted_class is not None for read in reads], np.bool_)
    predicted = np.array([labels.index(read.predicted_class or labels[0]) for read in reads], np.intp)
    scores = np.array([[read.scores.get(label, 0.0) for label in labels] for read in reads])
    clusters = Clusters(patients, _classes_of(patients, targets, len(labels)), targets)
    right = ((predicted == targets) & answered).astype(float)
    confusion = np.zeros((len(labels), len(labels)), np.intp)
    np.add.at(confusion, (targets[answered], predicted[answered]), 1)
    return {
        "Aggregation": predictions.study.described(labels),
        "Studies": len(known),
        "Patients": len(clusters.strata),
        "Abstained": int((~answered).sum()),
        "Coverage": round(float(answered.mean()), DECIMALS),
        "SlicesAbstained": sum(read.abstentions for read in reads),
        "BalancedAccuracy": figures.balanced(right, targets, clusters, len(labels)).as_dict(),
        "Classes": figures.of_classes(labels, targets, predicted, scores, answered, clusters),
        "ConfusionMatrix": confusion.tolist(),
    }


def _classes_of(patients: Any, targets: Any, classes: int) -> Any:
    """Return the class of most of each patient's studies."""
    counted = np.zeros((int(patients.max()) + 1, classes))
    np.add.at(counted, (patients, targets), 1)
    return counted.argmax(axis=1)
