"""The two gates of a run: reads what a job wrote, decides by pure rules, and writes the verdict with every reason."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.aws.objects import Documents
from functions.domain import audit, evaluation, layout, leakage, promotion
from functions.domain import snapshot as snapshots
from functions.domain.errors import MalformedDocument
from functions.domain.leakage import AcquisitionLimits
from functions.domain.promotion import Thresholds
from functions.domain.snapshot import Snapshot
from functions.domain.verdict import DataProblem, ModelProblem, Reason, Verdict, trimmed


class Subject(enum.StrEnum):
    """What a gate judges a run by."""

    AUDIT = "Audit"
    EVALUATION = "Evaluation"


@dataclass(frozen=True, kw_only=True)
class Gating:
    """Fails closed: a document that is missing, malformed or about other data is a reason like any other."""

    documents: Documents
    limits: AcquisitionLimits
    thresholds: Thresholds

    def judge(self, subject: Subject, taken: Mapping[str, Any]) -> Verdict:
        """Judge a run by its audit or its evaluation, and write the verdict; ``taken`` is the snapshot's answer."""
        try:
            snapshot = self._snapshot(taken)
        except MalformedDocument as error:
            verdict = Verdict((Reason(code=DataProblem.MALFORMED_SNAPSHOT, message=str(error)),))
        else:
            judged = self._data(snapshot, taken) if subject == Subject.AUDIT else self._model(snapshot, taken)
            verdict = Verdict(tuple(judged)).accepting(taken["AcceptedRisks"])
        place = layout.data_gate_key if subject == Subject.AUDIT else layout.model_gate_key
        self.documents.write(place(taken["Run"]), verdict.to_json())
        return verdict

    def _snapshot(self, taken: Mapping[str, Any]) -> Snapshot:
        body = self.documents.find(layout.snapshot_key(taken["Run"]))
        if body is None:
            raise MalformedDocument("The run's snapshot is gone; start the run again.")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedDocument("The run's snapshot is no JSON; start the run again.") from error
        return snapshots.parse(document, taken["SnapshotDigest"])

    def _data(self, snapshot: Snapshot, taken: Mapping[str, Any]) -> list[Reason]:
        try:
            found = audit.parse(self._written(layout.audit_key(taken["Run"]), "audit"), snapshot.digest)
        except MalformedDocument as error:
            return [Reason(code=DataProblem.MALFORMED_AUDIT, message=str(error))]
        return leakage.findings(snapshot, found, self.limits)

    def _model(self, snapshot: Snapshot, taken: Mapping[str, Any]) -> list[Reason]:
        try:
            measured = evaluation.parse(
                self._written(layout.evaluation_key(taken["Run"]), "evaluation"), snapshot.digest
            )
            if measured.labels != snapshot.labels:
                raise MalformedDocument(
                    f"The evaluation's classes are {', '.join(measured.labels)}, not the snapshot's."
                )
        except MalformedDocument as error:
            return [Reason(code=ModelProblem.MALFORMED_EVALUATION, message=str(error))]
        return promotion.shortcomings(measured, self.thresholds, against_champion=bool(taken["Champion"]))

    def _written(self, key: str, what: str) -> bytes:
        body = self.documents.find(key)
        if body is None:
            raise MalformedDocument(f"The job wrote no {what}; its log says why.")
        return body


def answer(verdict: Verdict) -> dict[str, Any]:
    """The verdict as the state machine carries it."""
    return {"Passed": verdict.passed, "Reasons": trimmed(verdict.reasons)}
