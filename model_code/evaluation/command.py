"""The command ``evaluate``: measures the candidate, and any champion, on the snapshot's test slices, or by folds."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_code import snapshot
from model_code.container import Processing
from model_code.errors import ArtifactError, EvaluationError
from model_code.evaluation import studies
from model_code.evaluation.against import Rival, build_compared, cases_of, predictions_of, unseen_by
from model_code.evaluation.folds import by_folds, rival_by_folds
from model_code.evaluation.pictures import ReportPictures
from model_code.evaluation.predictions import load_model, predict
from model_code.evaluation.report.page import render
from model_code.evaluation.report.slices import shown_slices
from model_code.evaluation.studies import Part
from model_code.evaluation.training_record import parts_of, read_training
from model_code.evaluation.worst import worst_cases
from model_code.inference import Model
from model_code.snapshot import Snapshot, Split

DOCUMENT, REPORT = "evaluation.json", "report.html"

log = logging.getLogger("model_code.evaluation")


def evaluate(
    paths: Processing,
    *,
    candidate_sha256: str,
    champion_sha256: str = "",
    reference_sha256: str = "",
    attempt: int = 1,
    pictures: ReportPictures = ReportPictures.IF_NO,
) -> None:
    """Write evaluation.json and report.html; the digests (hex) are those of the expected model.tar.gz files.

    ``attempt`` counts the runs that measured models on these patients. Raises SnapshotError, and EvaluationError if a
    model is another file or cannot be loaded or measured. A failing champion ends the command: the comparison is
    required. A reference that this image cannot load is left out: the gate then allows less.
    """
    taken = snapshot.read(paths.snapshot)
    cases = taken.tested
    if not cases:
        raise EvaluationError("The snapshot has no test slices, so nothing can be measured; label more patients.")
    models = {"Candidate": load_model(paths.candidate, "candidate", taken.labels, candidate_sha256)}
    if champion_sha256 or paths.champion.parent.exists():
        models["Champion"] = load_model(paths.champion, "champion", taken.labels, champion_sha256)
    if reference_sha256:
        models |= _reference(paths, taken.labels, reference_sha256)
    log.info("test_slices=%s models=%s attempt=%s", len(cases), len(models), attempt)
    test, predicted = predict(list(models.values()), taken.labels, cases, paths.slices)
    candidate, *others = predicted
    snapshots = {"Champion": paths.champion_snapshot, "Reference": paths.reference_snapshot}
    rivals = {
        role: Rival(predictions, *unseen_by(snapshots[role], cases))
        for role, predictions in zip(list(models)[1:], others, strict=True)
    }
    folded = None
    if taken.folds:
        archives = {"Champion": paths.champion, "Reference": paths.reference}
        rivals = {
            role: rival_by_folds(archives[role], snapshots[role], role.lower(), taken, rival)
            for role, rival in rivals.items()
        }
        folded = by_folds(paths.candidate, taken, test, candidate)
        candidate, test = folded.predictions, replace(test, folds=taken.folds)
    champion = rivals.get("Champion")
    document = build_compared(taken.digest, test, candidate, rivals, attempt)
    document |= {"Training": read_training(paths.candidate), "Parts": parts_of(taken)}
    read: dict[str, Part] = {"Candidate": (cases, test, candidate)}
    if champion:
        rows = champion.unseen if champion.unseen.any() else ~champion.unseen
        unseen = [case for case, kept in zip(cases, rows, strict=True) if kept]
        read["Champion"] = (unseen, cases_of(test, rows), predictions_of(champion.predictions, rows))
    _add_studies(document, models, taken, paths.slices, read)
    if folded:
        document["OutOfFold"] = dict(folded.document)
    worst = worst_cases(cases, test, candidate, paths.slices, pictures)
    patients = shown_slices(cases, test, candidate)
    page = render(document, taken, test, candidate, champion, worst, pictures, patients)
    paths.evaluation.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, allow_nan=False, indent=1) + "\n"
    (paths.evaluation / DOCUMENT).write_text(text, encoding="utf-8")
    (paths.evaluation / REPORT).write_text(page, encoding="utf-8")
    _log("candidate", document["Candidate"])
    if champion:
        _log("champion", document["Champion"])


def _add_studies(
    document: dict[str, Any], models: Mapping[str, Model], taken: Snapshot, folder: Path, read: Mapping[str, Part]
) -> None:
    """Add how candidate and champion read whole studies; the champion's are of patients that it was not trained on.

    ``read`` are the labelled slices that each has read; those without a label are read here.
    """
    parts = {role: [part] for role, part in read.items()}
    unlabelled = [case for case in taken.unlabelled if case.split is Split.TEST and not taken.folds]
    if unlabelled:
        test, predicted = predict([models[role] for role in read], taken.labels, unlabelled, folder)
        for role, predictions in zip(read, predicted, strict=True):
            kept = {case.patient for case in read[role][0]} | {
                case.patient for case in unlabelled if role == "Candidate"
            }
            rows = np.array([case.patient in kept for case in unlabelled], np.bool_)
            some = [case for case in unlabelled if case.patient in kept]
            parts[role].append((some, cases_of(test, rows), predictions_of(predictions, rows)))
    for role, of_role in parts.items():
        found = studies.find_studies(of_role)
        document[role]["Study"] = studies.measured(found, read[role][2], taken.labels)
        if role == "Candidate":
            document["Cases"]["Studies"] = studies.counts(found)


def _reference(paths: Processing, labels: tuple[str, ...], digest: str) -> dict[str, Model]:
    """Return the reference by its role, or nothing if this image cannot load it; raise EvaluationError for others."""
    try:
        return {"Reference": load_model(paths.reference, "reference", labels, digest)}
    except EvaluationError as error:
        if not isinstance(error.__cause__, ArtifactError):
            raise
        log.warning("reference_left_out=%s", error)
        return {}


def _log(role: str, measured: dict[str, object]) -> None:
    log.info("%s_balanced_accuracy=%s", role, measured["BalancedAccuracy"])
