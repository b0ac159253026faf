"""The two gates of a run: they read a job's document, decide by pure rules, and write the verdict with every reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from functions.aws.holdout import Holdout
from functions.aws.objects import Documents
from functions.domain import against, audit, evaluation, layout, leakage, promotion
from functions.domain import snapshot as snapshots
from functions.domain.errors import MalformedDocument
from functions.domain.evaluation import Evaluation
from functions.domain.leakage import AcquisitionLimits
from functions.domain.promotion import Thresholds
from functions.domain.snapshot import Snapshot
from functions.domain.training_run import TrainingRun
from functions.domain.verdict import DataProblem, ModelProblem, Reason, Verdict, trimmed


class Subject(enum.StrEnum):
    """The document by which a gate judges a run."""

    AUDIT = "Audit"
    EVALUATION = "Evaluation"


@dataclass(frozen=True, kw_only=True)
class Gating:
    """Fails closed: a document that is missing, malformed or about other data is a reason like any other."""

    documents: Documents
    holdout: Holdout
    limits: AcquisitionLimits
    thresholds: Thresholds

    def judge(self, subject: Subject, run: TrainingRun, attempt: int | None = None) -> Verdict:
        """Judge a run by its audit or its evaluation, and write the verdict.

        ``attempt`` counts the runs that measured models on the same patients, this one included; None of an
        execution that began before these were counted.
        """
        try:
            snapshot = self._snapshot(run)
        except MalformedDocument as error:
            verdict = Verdict((Reason(code=DataProblem.MALFORMED_SNAPSHOT, message=str(error)),))
        else:
            judged = self._data(snapshot, run) if subject == Subject.AUDIT else self._model(snapshot, run, attempt)
            verdict = judged.accepting(run.accepted_risks)
        key = layout.data_gate_key(run.run_id) if subject == Subject.AUDIT else layout.model_gate_key(run.run_id)
        self.documents.write(key, verdict.to_json())
        return verdict

    def _snapshot(self, run: TrainingRun) -> Snapshot:
        return snapshots.read(self.documents.find(layout.snapshot_key(run.run_id)), run.snapshot_digest)

    def _data(self, snapshot: Snapshot, run: TrainingRun) -> Verdict:
        try:
            found = audit.parse(self._written(layout.audit_key(run.run_id), "audit"), snapshot.digest)
        except MalformedDocument as error:
            return Verdict((Reason(code=DataProblem.MALFORMED_AUDIT, message=str(error)),))
        patients = {label: len(ids) for label, ids in snapshot.test_patients().items()}
        few = promotion.too_few_patients(
            patients, self.thresholds, against_champion=run.champion is not None, folds=snapshot.folds
        )
        return Verdict((*leakage.findings(snapshot, found, self.limits), *few))

    def _model(self, snapshot: Snapshot, run: TrainingRun, attempt: int | None) -> Verdict:
        try:
            measured = evaluation.parse(self._written(layout.evaluation_key(run.run_id), "evaluation"), snapshot.digest)
            if measured.labels != snapshot.labels:
                raise MalformedDocument(
                    f"The evaluation's classes are {', '.join(measured.labels)}, not the snapshot's."
                )
            _check_folds(snapshot, measured)
        except MalformedDocument as error:
            return Verdict((Reason(code=ModelProblem.MALFORMED_EVALUATION, message=str(error)),))
        against_champion, margin = run.champion is not None, self.thresholds.champion_margin
        reasons = promotion.shortcomings(measured, self.thresholds, against_champion=against_champion)
        reasons += against.shortcomings(measured, run, margin, attempt, reasons)
        reasons += leakage.tested_since(snapshot, self.holdout.tested(leakage.outside_test_part(snapshot)))
        checks = promotion.checks(measured, self.thresholds, against_champion=against_champion)
        checks += against.checks(measured, run, margin)
        return Verdict(tuple(reasons), tuple(one.to_json() for one in checks))

    def _written(self, key: str, what: str) -> bytes:
        body = self.documents.find(key)
        if body is None:
            raise MalformedDocument(f"The job wrote no {what}; its log says why.")
        return body


def _check_folds(snapshot: Snapshot, measured: Evaluation) -> None:
    """Raise MalformedDocument unless a run that tests by folds was measured by all of them, and another by none."""
    folds = measured.out_of_fold.folds if measured.out_of_fold else 0
    expected = len({one.fold for one in snapshot.slices}) if snapshot.folds else 0
    if folds != expected:
        raise MalformedDocument(
            f"The evaluation is by {folds} fold(s), the snapshot has {expected}; start the run again, with the image "
            "of this release."
        )


def answer(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as the state machine carries it."""
    return {"Passed": verdict.passed, "Reasons": trimmed(verdict.reasons)}
