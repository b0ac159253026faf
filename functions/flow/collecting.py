"""From an ended transform job to terminal rows: every output is verified, everything without one is tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.aws.batches import Batches
from functions.aws.index import Index
from functions.aws.jobs import Jobs, JobStatus, TransformJob
from functions.aws.objects import Documents
from functions.domain import layout, prediction
from functions.domain.batch import Batch, BatchStatus, after_failure
from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.prediction import Prediction, PredictionError
from functions.domain.row import NAMES, Row, Status, expiry, timestamp
from functions.flow.marking import Marking
from functions.settings import Metric

READERS = 16  # outputs read and rows written at once; S3 and DynamoDB wait far longer than they work
CHUNK = 500  # rows held at once, so that a larger job needs more time and hardly more memory


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What collecting came to: rows by what became of them, and jobs that did not complete."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    jobs_failed: int = 0

    def metrics(self) -> dict[Metric, float]:
        """The same, as metrics."""
        return {
            Metric.UPLOADS_COMPLETED: self.completed,
            Metric.UPLOADS_FAILED: self.failed,
            Metric.JOBS_FAILED: self.jobs_failed,
        }


@dataclass(frozen=True, kw_only=True)
class _EndedJob:
    """What there is to settle: a job, its batch, the names in its manifest, and the output keys by upload id."""

    batch: Batch
    job: TransformJob
    manifest: Sequence[str]
    outputs: Mapping[str, str]

    def member(self, position: int) -> str:
        """The upload id at a position of the manifest."""
        return layout.upload_of_instance(self.manifest[position])

    def holds(self, row: Row) -> bool:
        """Whether the row is the batch's: still to be settled, or ended by whoever collected it before."""
        return row.batch_id == self.batch.batch_id


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """Collects ended jobs. A job is believed by its Describe alone, an output by the hash that it carries."""

    index: Index
    batches: Batches
    work: Documents
    results: Documents
    jobs: Jobs
    marking: Marking
    job_name_prefix: str
    max_attempts: int
    clock: Callable[[], datetime]
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def collect(self, job_name: str) -> Outcome | None:
        """Bring every row of an ended job on; None when there is nothing to do (not ours, not ended, done before)."""
        batch_id = layout.batch_of_job(self.job_name_prefix, job_name)
        batch = self.batches.get(batch_id) if batch_id else None
        if batch is None or batch.status not in {BatchStatus.READY, BatchStatus.SUBMITTED}:
            return None
        job = self.jobs.describe(job_name)
        if job is None or not job.status.ended:
            return None
        outcome, outputs = self._collect_rows(batch, job)
        self._mark_if_withdrawn(batch)
        self.batches.finish(batch, barren=not outputs, now=timestamp(self.clock()))
        return outcome

    def _collect_rows(self, batch: Batch, job: TransformJob) -> tuple[Outcome, int]:
        """Settle each upload of the manifest that the batch still holds; also return how many outputs there are.

        What is settled stays settled: who collects after a death in the midst goes on with what is left.
        """
        keys = self.work.keys(layout.output_prefix(job.name))
        outputs = {upload: key for key in keys if (upload := layout.upload_of_output(key))}
        ended = _EndedJob(batch=batch, job=job, manifest=self._manifest(batch), outputs=outputs)
        settled: Counter[Status | None] = Counter()
        errors: list[Exception] = []
        with ThreadPoolExecutor(READERS) as pool:
            for chunk in _chunks(len(ended.manifest)):
                try:
                    settled.update(self._settle_chunk(ended, chunk, pool.map, errors))
                except Exception as error:
                    errors.append(error)
        if errors:  # each neighbour is settled; the batch stays open and the message comes again for the rest
            raise errors[0]
        return Outcome(
            completed=settled[Status.COMPLETED],
            failed=settled[Status.FAILED],
            retried=settled[Status.PENDING],
            jobs_failed=int(job.status != JobStatus.COMPLETED),
        ), len(outputs)

    def _settle_chunk(
        self, ended: _EndedJob, chunk: range, at_once: Callable[..., Iterable[Any]], errors: list[Exception]
    ) -> list[Status | None]:
        """Settle the uploads at some positions of the manifest, and delete the copies of all there that have ended.

        Those too that an earlier collector has ended: it may have died before it deleted them.
        """
        rows = self.index.get_many(ended.member(position) for position in chunk)
        held = [(position, row) for position in chunk if (row := rows.get(ended.member(position))) and ended.holds(row)]

        def settle(place: tuple[int, Row]) -> Status | None:
            try:
                return self._settle(ended, *place)
            except Exception as error:
                errors.append(error)
                return None

        waiting = [(position, row) for position, row in held if row.status == Status.BATCHED]
        settled: list[Status | None] = list(at_once(settle, waiting))
        over = [position for position, row in held if row.status.terminal]
        over += [position for (position, _), now in zip(waiting, settled, strict=True) if now and now.terminal]
        self.work.delete([layout.instance_key(ended.manifest[position]) for position in over])
        return settled

    def _mark_if_withdrawn(self, batch: Batch) -> None:
        """Mark the batch's results if its version was withdrawn while the job ran.

        Every row has left the batch by now, whoever collected it. So either the withdrawal is seen here, or it comes
        later and finds them all.
        """
        withdrawal = self.marking.champions.withdrawal(batch.model_package)
        if withdrawal:
            members = list(map(layout.upload_of_instance, self._manifest(batch)))
            for chunk in _chunks(len(members)):
                rows = self.index.get_many(members[position] for position in chunk)
                self.marking.mark_rows(rows.values(), withdrawal)

    def _manifest(self, batch: Batch) -> list[str]:
        """The entries of a batch's manifest, without its prefix."""
        entries: list[str] = self.work.read(layout.manifest_key(batch.batch_id))[1:]
        return entries

    def _settle(self, ended: _EndedJob, position: int, row: Row) -> Status | None:
        """One row's next status, written; None when the batch does not hold the row any more."""
        batch, job, output_key = ended.batch, ended.job, ended.outputs.get(row.upload_id)
        try:
            if output_key is None:
                raise MalformedPrediction(*_no_output(job))
            answer = prediction.parse(self.work.read_bytes(output_key), row.content_sha256 or "")
        except MalformedPrediction as problem:
            retry = after_failure(
                row, position, len(ended.manifest), batch.batch_id, job.failure_reason, self.max_attempts
            )
            if retry is None:
                return self._fail(row, batch, problem.code, problem.reason)
            back = self.index.hand_back(row, batch.batch_id, retry, timestamp(self.clock()))
            return Status.PENDING if back else None
        if isinstance(answer, PredictionError):
            return self._fail(row, batch, answer.code, answer.message)
        return self._complete(row, batch, answer)

    def _complete(self, row: Row, batch: Batch, answer: Prediction) -> Status | None:
        result_id = layout.prediction_id(answer.content_sha256, batch.model_package, answer.weights_sha256)
        key = layout.prediction_key(result_id)
        document = _result(answer, batch)
        if not self.results.write_once(key, document):
            document = self.results.read(key)  # the same bytes were read before by the same model: one answer
        changes = {
            NAMES["model_package"]: batch.model_package,
            NAMES["predicted_class"]: document["Class"],
            NAMES["probabilities"]: document["Probabilities"],
            NAMES["timings_ms"]: document["TimingsMs"],
            NAMES["prediction_key"]: key,
        }
        return self._end(row, batch, Status.COMPLETED, changes)

    def _fail(self, row: Row, batch: Batch, code: str, reason: str) -> Status | None:
        changes = {
            NAMES["code"]: code,
            NAMES["reason"]: reason,
            NAMES["model_package"]: batch.model_package,
        }
        return self._end(row, batch, Status.FAILED, changes)

    def _end(self, row: Row, batch: Batch, status: Status, changes: Mapping[str, Any]) -> Status | None:
        now = timestamp(self.clock())
        values = {"Status": status, NAMES["updated_at"]: now, NAMES["completed_at"]: now, **changes}
        if self.kept_days:
            values[NAMES["expires_at"]] = expiry(self.clock(), self.kept_days)
        return status if self.index.leave_batch(row.upload_id, batch.batch_id, values, ["RetryGroup"]) else None


def _chunks(count: int) -> Iterator[range]:
    """The positions from 0 to ``count``, some at a time."""
    return (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


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
