"""Compares the candidate with champion and reference: on patients that these were not trained on, at a level.

Attempt k on the same patients may be wrong with LEVEL / (k (k + 1)). These add up to LEVEL over any number of attempts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from model_code.errors import SnapshotError
from model_code.evaluation import intervals
from model_code.evaluation.bootstrap import Figure, rounded
from model_code.evaluation.document import PAIRED_METRIC, Predictions, TestSet, build
from model_code.evaluation.intervals import FEWEST_PATIENTS, TAIL, Rows
from model_code.snapshot import Case, Split

LEVEL = 0.025  # not 0.05: Student's t passes up to twice its level where errors are few (assurance.gates reuse)
NOT_COMPARABLE = {
    "Metric": PAIRED_METRIC,
    "Difference": None,
    "Low": None,
    "High": None,
    "TooFew": False,
    "StandardError": None,
    "DegreesOfFreedom": None,
}


@dataclass(frozen=True)
class Rival:
    """A model that the candidate is compared with; ``unseen`` are the slices of patients that it was not trained on.

    ``known`` is whether its training is known; if not, all slices count as unseen. Of ``out_of_fold`` patients the
    predictions are those of its folds' models.
    """

    predictions: Predictions
    unseen: Rows
    known: bool
    out_of_fold: int = 0


def level_of(attempt: int) -> float:
    """Return how likely attempt ``attempt`` (from 1) on the same patients may pass a candidate that it should not."""
    return LEVEL / (attempt * (attempt + 1))


def unseen_by(snapshot: Path, cases: Sequence[Case]) -> tuple[Rows, bool]:
    """Return which cases are of patients that an earlier run did not train on, and whether its snapshot is there.

    The snapshot may lack what was erased since, so its digest is not compared. Raises SnapshotError if it cannot be
    read.
    """
    if not snapshot.is_file():
        return np.ones(len(cases), bool), False
    try:
        entries = json.loads(snapshot.read_text(encoding="utf-8"))["Slices"]
        seen = {entry["Patient"] for entry in entries if Split(entry["Split"]) is not Split.TEST}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SnapshotError(
            f"The {snapshot.name} in the input named {snapshot.parent.name} cannot be read ({type(error).__name__}): "
            "it was replaced. Find out by whom; what the model was trained on is not known without it."
        ) from error
    return np.array([case.patient not in seen for case in cases], bool), True


def build_compared(
    snapshot_digest: str,
    cases: TestSet,
    candidate: Predictions,
    rivals: Mapping[str, Rival],
    attempt: int,
) -> dict[str, Any]:
    """Return the evaluation document with the field Attempt; ``rivals`` are by role: Champion, Reference.

    The champion's own figures are of the patients that it was not trained on, too, if there are any.
    """
    champion = rivals.get("Champion")
    document = build(snapshot_digest, cases, candidate, champion.predictions if champion else None)
    if champion and not champion.unseen.all():
        document["Paired"] = dict(NOT_COMPARABLE)
        if champion.unseen.any():
            rows = champion.unseen
            part = build(snapshot_digest, cases_of(cases, rows), *_both(candidate, champion, rows))
            document |= {"Champion": part["Champion"], "Paired": part["Paired"]}
    against = {role: _against(candidate, rival, cases, attempt) for role, rival in rivals.items()}
    document["Attempt"] = {"Number": attempt, "Level": level_of(attempt), "Champion": None, "Reference": None} | against
    return document


def cases_of(cases: TestSet, rows: Rows) -> TestSet:
    """Return some of the slices, their patients numbered without gaps."""
    attributes = {name: list(np.array(values)[rows]) for name, values in cases.attributes.items()}
    patients = np.unique(cases.patients[rows], return_inverse=True)[1]
    positions = tuple(one for one, kept in zip(cases.positions, rows, strict=True) if kept) if cases.positions else ()
    return TestSet(cases.labels, cases.targets[rows], patients, attributes, folds=cases.folds, positions=positions)


def predictions_of(predictions: Predictions, rows: Rows) -> Predictions:
    """Return a model's predictions of some of the slices."""
    abstained = predictions.abstained
    return replace(
        predictions,
        probabilities=predictions.probabilities[rows],
        uncalibrated=predictions.uncalibrated[rows],
        abstained=None if abstained is None else abstained[rows],
    )


def _both(candidate: Predictions, rival: Rival, rows: Rows) -> tuple[Predictions, Predictions]:
    return predictions_of(candidate, rows), predictions_of(rival.predictions, rows)


def _against(candidate: Predictions, rival: Rival, cases: TestSet, attempt: int) -> dict[str, Any]:
    """Return the comparison with one model: the difference, and its lower bound at the level of the attempt."""
    rows = rival.unseen
    some = cases_of(cases, rows)
    found, bound = Figure(None, None, None), None
    if set(some.targets.tolist()) == set(range(len(cases.labels))) and some.clusters.fewest >= FEWEST_PATIENTS:
        ours, theirs = ((one.predicted == some.targets).astype(float) for one in _both(candidate, rival, rows))
        found = intervals.difference(ours, theirs, some.clusters, some.folds).figure
        bound = _bound(found, some.clusters.spare_of_mean, level_of(attempt))
    return {
        "Model": dict(rival.predictions.identity),
        "Patients": len(np.unique(some.patients)),
        "Seen": len(np.unique(cases.patients[~rows])),
        "TrainingKnown": rival.known,
        "Difference": found.value,
        "Bound": bound,
    } | ({"OutOfFold": rival.out_of_fold} if rival.out_of_fold else {})


def _bound(found: Figure, spare: float, level: float) -> float | None:
    """Return the lower end of Student's interval of a difference at another level, one-sided."""
    if found.value is None or found.low is None:
        return None
    reach = (found.value - found.low) * float(stdtrit(spare, level) / stdtrit(spare, TAIL))
    return rounded(max(found.value - reach, -1.0))
