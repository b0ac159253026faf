"""Measures by folds: predictions of models that never saw the slice's patient take the place of the candidate's own.

The candidate itself was trained on every patient, so it is looked at only as a check: it should read what it was
trained on no worse than the folds' models read what they had not seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model_code.errors import ArtifactError, EvaluationError, SnapshotError
from model_code.evaluation.against import Rival
from model_code.evaluation.bootstrap import DECIMALS, Floats
from model_code.evaluation.document import Predictions, TestSet
from model_code.evaluation.intervals import Rows
from model_code.out_of_fold import FILE, OutOfFold, Row, find
from model_code.snapshot import Case, Snapshot


@dataclass(frozen=True)
class ByFolds:
    """A candidate's out-of-fold ``predictions``, and what the document says of the folds and of the model of all."""

    predictions: Predictions
    document: Mapping[str, Any]


def by_folds(packed: Path, taken: Snapshot, test: TestSet, own: Predictions) -> ByFolds:
    """Return how a candidate is measured; ``own`` are its own predictions of all of the snapshot's slices.

    Raises EvaluationError unless its archive has predictions of each of these slices once, each in its fold.
    """
    found = _find(packed, "candidate", test.labels)
    if found is None:
        raise EvaluationError(
            f"The candidate has no {FILE}, although the run tests by folds; start the run again, with the image of "
            "this release."
        )
    folds = {line: row.fold for line, row in found.rows.items()}
    if found.digest != taken.digest or folds != {case.line: case.fold for case in taken.cases}:
        raise EvaluationError(f"The candidate's {FILE} is not of this run's slices and folds; start the run again.")
    predictions = _predictions(found, [found.rows[case.line] for case in taken.cases], test.labels, own)
    return ByFolds(predictions, _document(found, taken.cases, test, predictions, own))


def rival_by_folds(packed: Path, snapshot: Path, role: str, taken: Snapshot, rival: Rival) -> Rival:
    """Return a champion or reference with its out-of-fold predictions of the slices that its run had, too.

    For these it counts as not trained, as for patients whom it never saw. It is unchanged if it was not trained by
    folds, or if its snapshot is gone, without which nobody knows whose predictions they are. Raises EvaluationError
    or SnapshotError for one that is malformed.
    """
    found = _find(packed, role, taken.labels)
    if found is None or not snapshot.is_file():
        return rival
    lines = _lines(snapshot, found)
    rows = [found.rows.get(lines.get(case.content_sha256, 0)) for case in taken.cases]
    had = np.array([row is not None for row in rows], np.bool_)
    if not had.any():
        return rival
    model = rival.predictions
    theirs = _predictions(found, [row for row in rows if row], taken.labels, model)
    probabilities, uncalibrated = model.probabilities.copy(), model.uncalibrated.copy()
    probabilities[had], uncalibrated[had] = theirs.probabilities, theirs.uncalibrated
    abstained = None
    if model.abstained is not None or theirs.abstained is not None:
        abstained = np.zeros(len(rows), np.bool_) if model.abstained is None else model.abstained.copy()
        abstained[had] = False if theirs.abstained is None else theirs.abstained
    merged = replace(model, probabilities=probabilities, uncalibrated=uncalibrated, abstained=abstained)
    patients = len({case.patient for case, row in zip(taken.cases, rows, strict=True) if row})
    return replace(rival, predictions=merged, unseen=rival.unseen | had, out_of_fold=patients)


def _find(packed: Path, role: str, labels: Sequence[str]) -> OutOfFold | None:
    try:
        found = find(packed)
        if found and sorted(found.labels) != sorted(labels):
            raise ArtifactError(f"{FILE} has the classes {', '.join(found.labels)}, not {', '.join(labels)}.")
        return found
    except ArtifactError as error:
        raise EvaluationError(f"The {role} cannot be measured: {error} Train it again.") from error


def _lines(snapshot: Path, found: OutOfFold) -> dict[str, int]:
    """Return the lines of an earlier run's slices by their content; raises SnapshotError for another's snapshot."""
    try:
        document = json.loads(snapshot.read_text(encoding="utf-8"))
        if document["Digest"] != found.digest:
            raise ValueError("it is of another run")
        return {str(entry["ContentSHA256"]): int(entry["Line"]) for entry in document["Slices"]}
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise SnapshotError(
            f"The {snapshot.name} in the input named {snapshot.parent.name} does not fit the model's {FILE} "
            f"({type(error).__name__}): it was replaced. Find out by whom, then start the run again."
        ) from error


def _predictions(found: OutOfFold, rows: Sequence[Row], labels: Sequence[str], model: Predictions) -> Predictions:
    """Return out-of-fold rows as the predictions of ``model``; each has the temperature of its fold."""
    columns = [found.labels.index(label) for label in labels]
    logits = np.array([row.logits for row in rows])[:, columns]
    temperatures = np.array([found.folds[row.fold].temperature for row in rows])[:, None]
    marks = [(row.score, found.folds[row.fold].threshold) for row in rows]
    knows = any(score is not None and threshold is not None for score, threshold in marks)
    abstained = [score is not None and threshold is not None and not score <= threshold for score, threshold in marks]
    return replace(
        model,
        probabilities=_softmax(logits / temperatures),
        uncalibrated=_softmax(logits),
        studies={number: fold.study for number, fold in found.folds.items()},
        abstained=np.array(abstained, np.bool_) if knows else None,
    )


def _document(
    found: OutOfFold, cases: Sequence[Case], test: TestSet, predictions: Predictions, own: Predictions
) -> dict[str, Any]:
    fold_of = np.array([case.fold for case in cases])
    return {
        "Folds": [
            {
                "Fold": one.number,
                "Epoch": one.epoch,
                "Temperature": round(one.temperature, DECIMALS),
                "Patients": dict(one.patients),
                "Slices": dict(one.slices),
                "BalancedAccuracy": _balanced(predictions, test, fold_of == one.number),
            }
            for one in found.folds.values()
        ],
        "Whole": {
            "BalancedAccuracy": _balanced(own, test, np.ones(len(cases), np.bool_)),
            "SameClass": round(float((own.predicted == predictions.predicted).mean()), DECIMALS),
        },
    }


def _balanced(predictions: Predictions, test: TestSet, rows: Rows) -> float | None:
    """Return the balanced accuracy over the classes that some slices have; None without slices."""
    right, targets = (predictions.predicted == test.targets)[rows], test.targets[rows]
    shares = [float(right[targets == index].mean()) for index in np.unique(targets)]
    return round(sum(shares) / len(shares), DECIMALS) if shares else None


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Floats = powers / powers.sum(axis=1, keepdims=True)
    return softmax
