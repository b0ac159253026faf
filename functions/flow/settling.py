"""One upload of an ended transform job: its output is verified, and its row is completed, failed or requeued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.index import TRY_ATTRIBUTES, Index
from functions.aws.items import error_code
from functions.aws.jobs import JobStatus, TransformJob
from functions.aws.objects import GONE, Documents
from functions.domain import layout, prediction
from functions.domain.batch import Batch, Retry, after_express, after_failure
from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.lane import Lane
from functions.domain.prediction import Prediction, PredictionError
from functions.domain.row import NAMES, Row, Status, expiry, moment_of, timestamp
from functions.flow.trying import TROUBLE_SECONDS

RETRY = "RetryGroup"


@dataclass(frozen=True, kw_only=True)
class EndedJob:
    """A job to settle: its batch, the names in its manifest, and its output keys by upload id."""

    batch: Batch
    job: TransformJob
    manifest: Sequence[str]
    outputs: Mapping[str, str]

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped because it took too long: on AWS a stopped job leaves no output."""
        return self.job.status == JobStatus.STOPPED

    def member(self, position: int) -> str:
        """Return the upload id at a position of the manifest."""
        return layout.upload_of_instance(self.manifest[position])

    def holds(self, row: Row) -> bool:
        """Return whether the row is the batch's: still to be settled, or ended by an earlier collector."""
        return row.batch_id == self.batch.batch_id


@dataclass(frozen=True)
class NoAnswer:
    """Why a row has no answer from a job: the failure of the row if its tries are used."""

    code: FailureCode
    reason: str


NOT_COLLECTED = NoAnswer(
    FailureCode.NOT_COLLECTED,
    "The service could not store this object's answer, though it tried several times, at last apart from all others. "
    "The log of the function sweep names the error; upload the object again when it is fixed.",
)


@dataclass(frozen=True, kw_only=True)
class Settling:
    """Settles rows, each by one conditional write. It trusts an output by the hash of the bytes that it answers for."""

    index: Index
    work: Documents
    results: Documents
    max_attempts: int
    clock: Callable[[], datetime]
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def settle(self, ended: EndedJob, position: int, row: Row) -> Status | None:
        """Settle one row and return its next status; None if the batch no longer holds the row."""
        batch, answer = ended.batch, self._answer(ended, row)
        if isinstance(answer, NoAnswer):
            size, reason = len(ended.manifest), ended.job.failure_reason
            return self.again(row, position, size, batch, answer, reason, stopped=ended.stopped)
        if isinstance(answer, PredictionError):
            return self.fail(row, batch, answer.code, answer.message, synthetic=answer.synthetic)
        return self._complete(row, batch, answer)

    def again(
        self,
        row: Row,
        position: int,
        size: int,
        batch: Batch,
        problem: NoAnswer,
        failure_reason: str = "",
        *,
        stopped: bool = False,
    ) -> Status | None:
        """Requeue a row without an answer, or fail it with the problem if its tries are used."""
        if batch.lane == Lane.EXPRESS:
            retry: Retry | None = after_express(row)
        else:
            retry = after_failure(
                row,
                position,
                size,
                batch.batch_id,
                failure_reason,
                self.max_attempts,
                stopped=stopped,
                malformed=problem.code == FailureCode.MALFORMED_PREDICTION,
                worn_out=(self.clock() - moment_of(row.waits_since)).total_seconds() >= TROUBLE_SECONDS,
            )
        if retry is None:
            return self.fail(row, batch, problem.code, problem.reason)
        back = self.index.requeue(row, batch.batch_id, retry, timestamp(self.clock()))
        return Status.PENDING if back else None

    def give_up(self, row: Row, batch: Batch) -> Status | None:
        """Fail a row that could not be settled in any of its tries alone; None if its tries have changed meanwhile."""
        return self.fail(row, batch, NOT_COLLECTED.code, NOT_COLLECTED.reason, tried=row)

    def fail(
        self, row: Row, batch: Batch, code: str, reason: str, *, synthetic: bool = False, tried: Row | None = None
    ) -> Status | None:
        """End a row as Failed, with ``tried`` only if it has the same tries; None if it was not."""
        changes: dict[str, Any] = {
            NAMES["code"]: code,
            NAMES["reason"]: reason,
            NAMES["model_package"]: batch.model_package,
        }
        if synthetic:
            changes[NAMES["synthetic"]] = True
        # A row that was given up keeps its tries: they are the reason.
        remove = [RETRY] if code == FailureCode.NOT_COLLECTED else [RETRY, *TRY_ATTRIBUTES]
        return self._end(row, batch, Status.FAILED, changes, remove, tried)

    def _answer(self, ended: EndedJob, row: Row) -> Prediction | PredictionError | NoAnswer:
        """Return the job's answer to the row's own bytes, or why it has no answer."""
        body = self._output(ended.outputs.get(row.upload_id))
        if body is None:
            return _no_output(ended.job)
        try:
            answer = prediction.parse(body, row.content_sha256 or "")
            _check_weights(answer, ended.batch)
        except MalformedPrediction as problem:
            return NoAnswer(problem.code, problem.reason)
        return answer

    def _output(self, key: str | None) -> bytes | None:
        """Return an output's start, one byte more than the bound at most; None if it does not exist."""
        try:
            return self.work.read_start(key, prediction.MOST_BYTES + 1) if key else None
        except ClientError as error:
            if error_code(error) in GONE:  # another collector has settled the row and deleted it meanwhile
                return None
            raise

    def _complete(self, row: Row, batch: Batch, answer: Prediction) -> Status | None:
        result_id = layout.prediction_id(answer.content_sha256, batch.model_package, answer.weights_sha256)
        key = layout.prediction_key(result_id)
        document = _result(answer, batch)
        if not self.results.write_once(key, document):
            # The same model has read the same bytes before: there is one answer.
            document = prediction.check_result(self.results.read(key))
        changes = {
            NAMES["model_package"]: batch.model_package,
            NAMES["timings_ms"]: document["TimingsMs"],
            NAMES["prediction_key"]: key,
        }
        if document["Class"] is not None:  # the probabilities of an object that no class fits are in its document only
            changes |= {
                NAMES["predicted_class"]: document["Class"],
                NAMES["probabilities"]: document["Probabilities"],
            }
        changes |= {NAMES[name.lower()]: document[name] for name in ("Typicality", "Unsure") if document.get(name)}
        if document.get("Notes"):  # results from before there were notes have none
            changes[NAMES["prediction_notes"]] = document["Notes"]
        if document.get("Synthetic"):
            changes[NAMES["synthetic"]] = True
        return self._end(row, batch, Status.COMPLETED, changes, [RETRY, *TRY_ATTRIBUTES])

    def _end(
        self,
        row: Row,
        batch: Batch,
        status: Status,
        changes: Mapping[str, Any],
        remove: Sequence[str],
        tried: Row | None = None,
    ) -> Status | None:
        now = timestamp(self.clock())
        values = {"Status": status, NAMES["updated_at"]: now, NAMES["completed_at"]: now, **changes}
        if self.kept_days:
            values[NAMES["expires_at"]] = expiry(self.clock(), self.kept_days)
        left = self.index.leave_batch(row.upload_id, batch.batch_id, values, remove, tried=tried)
        return status if left else None


def _check_weights(answer: Prediction | PredictionError, batch: Batch) -> None:
    """Raise MalformedPrediction if the answer is of another model than the one that the row will name.

    A batch from before the weights were recorded has no digest to compare.
    """
    given, expected = answer.weights_sha256, batch.weights_sha256
    if expected and given != expected:
        named = f"weights {given[:12]}…" if given else "weights without a SHA-256"
        raise MalformedPrediction(
            FailureCode.OUTPUT_MISMATCH,
            f"The output is of a model with {named}, {batch.model_package} has {expected[:12]}…: another artifact or "
            "Model runs under its name.",
        )


def _no_output(job: TransformJob) -> NoAnswer:
    ended = f"The transform job {job.name} ended {job.status}"
    if job.failure_reason:
        return NoAnswer(FailureCode.JOB_FAILED, f"{ended}: {job.failure_reason}")
    return NoAnswer(FailureCode.NO_OUTPUT, f"{ended} without an output for this object.")


def _result(answer: Prediction, batch: Batch) -> dict[str, Any]:
    """Return the result document: what bytes, model and configuration determine, and the timings."""
    document: dict[str, Any] = {
        "Schema": prediction.SCHEMA,
        "ContentSHA256": answer.content_sha256,
        "ModelPackage": batch.model_package,
        "WeightsSHA256": answer.weights_sha256,
        "Form": answer.backend,
        "Class": answer.predicted_class,
        "Probabilities": dict(answer.probabilities),
        "TimingsMs": dict(answer.timings_ms),
        "Notes": list(answer.notes),
        **({"Synthetic": True} if answer.synthetic else {}),
    }
    if answer.typicality:
        document["Typicality"] = answer.typicality.as_dict()
    if answer.unsure:
        document["Unsure"] = True
    if answer.grid:
        document["Grid"] = answer.grid.as_dict()
    return document
