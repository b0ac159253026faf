"""One upload of an ended transform job: its output is verified, and its row completed, failed, or handed back."""

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
from functions.domain.batch import Batch, after_failure
from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.prediction import Prediction, PredictionError
from functions.domain.row import NAMES, Row, Status, expiry, moment_of, timestamp
from functions.flow.trying import TROUBLE_SECONDS

RETRY = "RetryGroup"


@dataclass(frozen=True, kw_only=True)
class EndedJob:
    """What there is to settle: a job, its batch, the names in its manifest, and the output keys by upload id."""

    batch: Batch
    job: TransformJob
    manifest: Sequence[str]
    outputs: Mapping[str, str]

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped, because it took too long: on AWS it leaves no output then."""
        return self.job.status == JobStatus.STOPPED

    def member(self, position: int) -> str:
        """The upload id at a position of the manifest."""
        return layout.upload_of_instance(self.manifest[position])

    def holds(self, row: Row) -> bool:
        """Whether the row is the batch's: still to be settled, or ended by whoever collected it before."""
        return row.batch_id == self.batch.batch_id


@dataclass(frozen=True, kw_only=True)
class Settling:
    """Settles rows, each by one conditional write. An output is believed by the hash that it carries."""

    index: Index
    work: Documents
    results: Documents
    max_attempts: int
    clock: Callable[[], datetime]
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def settle(self, ended: EndedJob, position: int, row: Row) -> Status | None:
        """One row's next status, written; None when the batch does not hold the row any more."""
        batch, job = ended.batch, ended.job
        try:
            body = self._output(ended.outputs.get(row.upload_id))
            if body is None:
                raise MalformedPrediction(*_no_output(job))
            answer = prediction.parse(body, row.content_sha256 or "")
            _check_weights(answer, batch)
        except MalformedPrediction as problem:
            size, reason = len(ended.manifest), job.failure_reason
            return self.again(row, position, size, batch, problem, reason, stopped=ended.stopped)
        if isinstance(answer, PredictionError):
            return self.fail(row, batch, answer.code, answer.message)
        return self._complete(row, batch, answer)

    def again(
        self,
        row: Row,
        position: int,
        size: int,
        batch: Batch,
        problem: MalformedPrediction,
        failure_reason: str = "",
        *,
        stopped: bool = False,
    ) -> Status | None:
        """Hand a row back that has no answer, or fail it with the problem when its tries are used."""
        malformed = problem.code == FailureCode.MALFORMED_PREDICTION
        retry = after_failure(
            row,
            position,
            size,
            batch.batch_id,
            failure_reason,
            self.max_attempts,
            stopped=stopped,
            malformed=malformed,
            worn_out=(self.clock() - moment_of(row.waits_since)).total_seconds() >= TROUBLE_SECONDS,
        )
        if retry is None:
            return self.fail(row, batch, problem.code, problem.reason)
        back = self.index.hand_back(row, batch.batch_id, retry, timestamp(self.clock()))
        return Status.PENDING if back else None

    def give_up(self, row: Row, batch: Batch) -> Status | None:
        """Fail a row whose settlement failed each time that it was tried alone."""
        return self.fail(row, batch, FailureCode.NOT_COLLECTED, NOT_COLLECTED)

    def fail(self, row: Row, batch: Batch, code: str, reason: str) -> Status | None:
        """End a row as Failed."""
        changes = {
            NAMES["code"]: code,
            NAMES["reason"]: reason,
            NAMES["model_package"]: batch.model_package,
        }
        # Of a row that was given up the tries stay: they are why.
        remove = [RETRY] if code == FailureCode.NOT_COLLECTED else [RETRY, *TRY_ATTRIBUTES]
        return self._end(row, batch, Status.FAILED, changes, remove)

    def _output(self, key: str | None) -> bytes | None:
        """An output as far as it is read: one byte more than the most. None for one that is not there."""
        try:
            return self.work.read_start(key, prediction.MOST_BYTES + 1) if key else None
        except ClientError as error:
            if error_code(error) in GONE:  # whoever settled the row meanwhile has deleted it
                return None
            raise

    def _complete(self, row: Row, batch: Batch, answer: Prediction) -> Status | None:
        result_id = layout.prediction_id(answer.content_sha256, batch.model_package, answer.weights_sha256)
        key = layout.prediction_key(result_id)
        document = _result(answer, batch)
        if not self.results.write_once(key, document):
            # The same bytes were read before by the same model: one answer.
            document = prediction.check_result(self.results.read(key))
        changes = {
            NAMES["model_package"]: batch.model_package,
            NAMES["predicted_class"]: document["Class"],
            NAMES["probabilities"]: document["Probabilities"],
            NAMES["timings_ms"]: document["TimingsMs"],
            NAMES["prediction_key"]: key,
        }
        return self._end(row, batch, Status.COMPLETED, changes, [RETRY, *TRY_ATTRIBUTES])

    def _end(
        self, row: Row, batch: Batch, status: Status, changes: Mapping[str, Any], remove: Sequence[str]
    ) -> Status | None:
        now = timestamp(self.clock())
        values = {"Status": status, NAMES["updated_at"]: now, NAMES["completed_at"]: now, **changes}
        if self.kept_days:
            values[NAMES["expires_at"]] = expiry(self.clock(), self.kept_days)
        return status if self.index.leave_batch(row.upload_id, batch.batch_id, values, remove) else None


NOT_COLLECTED = (
    "The service could not store this object's answer, though it tried several times, at last apart from all others. "
    "The log of the function sweep names the error; upload the object again when it is mended."
)


def _check_weights(answer: Prediction | PredictionError, batch: Batch) -> None:
    """Raise MalformedPrediction for the answer of another model than the one that the row will name.

    A batch from before the weights were recorded has none to compare.
    """
    given, expected = answer.weights_sha256, batch.weights_sha256
    if expected and given != expected:
        named = f"weights {given[:12]}…" if given else "weights without a SHA-256"
        raise MalformedPrediction(
            FailureCode.OUTPUT_MISMATCH,
            f"The output is of a model with {named}, {batch.model_package} has {expected[:12]}…: another artifact or "
            "Model runs under its name.",
        )


def _no_output(job: TransformJob) -> tuple[FailureCode, str]:
    if job.failure_reason:
        return FailureCode.JOB_FAILED, f"The transform job {job.name} ended {job.status}: {job.failure_reason}"
    return FailureCode.NO_OUTPUT, f"The transform job {job.name} ended {job.status} without an output for this object."


def _result(answer: Prediction, batch: Batch) -> dict[str, Any]:
    """The result document: what the bytes, the model and its configuration determine, and how long it took."""
    return {
        "Schema": prediction.SCHEMA,
        "ContentSHA256": answer.content_sha256,
        "ModelPackage": batch.model_package,
        "WeightsSHA256": answer.weights_sha256,
        "Form": answer.form,
        "Class": answer.predicted_class,
        "Probabilities": dict(answer.probabilities),
        "TimingsMs": dict(answer.timings_ms),
    }
