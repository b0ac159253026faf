"""From an ended transform job or run to terminal rows: every output is verified, every row without one is retried.

No upload keeps another from its answer. If one row raises an error or kills the function each time, its batch is
settled row by row, and a row that fails alone ends as NotCollected.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.batches import Batches
from functions.aws.express import Runs, describe
from functions.aws.index import Index
from functions.aws.jobs import Jobs, JobStatus, TransformJob
from functions.aws.objects import Documents
from functions.aws.studies import Studies
from functions.aws.trouble import is_trouble, loggable
from functions.domain import layout
from functions.domain.batch import Batch, BatchStatus
from functions.domain.errors import FailureCode, MalformedDocument
from functions.domain.lane import Lane
from functions.domain.row import Row, Status, timestamp
from functions.flow.marking import Marking
from functions.flow.settling import NOT_COLLECTED, EndedJob, Settling
from functions.flow.trying import TOGETHER_TRIES, Trying
from functions.names import Metric

logger = logging.getLogger(__name__)

# Outputs read and rows written at once; the time goes to waiting for S3 and DynamoDB. Each reader holds an output of at
# most 1 MiB and its parsed values: tests/functions/flow/test_memory.py measures that all fit the function.
READERS = 16
CHUNK = 500  # rows held at once: a larger job needs more time and hardly more memory
ROW_TRIES = 3  # of a row alone
ALONE_SECONDS = 60  # of rows one at a time, before other batches have their turn; the next sweep continues
# A row that another function began to try this recently is left to it. Less than the minute between two sweeps.
LEASE_SECONDS = 45
UNANSWERED = frozenset({FailureCode.JOB_FAILED, FailureCode.NO_OUTPUT})


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The result of collecting: rows by their next status, and jobs that did not complete."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    jobs_failed: int = 0

    def metrics(self) -> dict[Metric, float]:
        """Return the same, as metrics."""
        return {
            Metric.UPLOADS_COMPLETED: self.completed,
            Metric.UPLOADS_FAILED: self.failed,
            Metric.JOBS_FAILED: self.jobs_failed,
        }


@dataclass(kw_only=True)
class _Tally:
    """The progress of collecting: statuses written, errors of rows, rows left to others, deleted keys.

    ``answered`` is whether an earlier collector of the batch found an output. ``studies`` are those of the rows that
    have ended, whichever collector ended them.
    """

    settled: Counter[Status | None] = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)
    left: int = 0
    deleted: set[str] = field(default_factory=set)
    answered: bool = False
    reached_rows: bool = False
    studies: set[str] = field(default_factory=set)

    def outcome(self, job: TransformJob | None) -> Collected:
        """Return the rows by status. A job counts as failed once, when its batch is done."""
        return Collected(
            completed=self.settled[Status.COMPLETED],
            failed=self.settled[Status.FAILED],
            retried=self.settled[Status.PENDING],
            jobs_failed=int(job is not None and job.status != JobStatus.COMPLETED),
        )

    @property
    def error(self) -> Exception:
        """The error to report: one that repeats if there is one, else AWS trouble."""
        return next((error for error in self.errors if not is_trouble(error)), self.errors[0])


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """Collects ended jobs. It trusts only the job's Describe, not its event."""

    index: Index
    batches: Batches
    work: Documents
    jobs: Jobs
    runs: Runs
    marking: Marking
    settling: Settling
    trying: Trying
    studies: Studies
    job_name_prefix: str
    clock: Callable[[], datetime]

    def collect(self, job_name: str, given_up: str = "") -> Collected | None:
        """Settle every row of an ended job; return None if there is nothing to do (not ours, not ended, done before).

        ``given_up`` is the invocation of the express lane that Lambda says is over, "" for none.

        A batch that failed as a whole is left to the sweep, which settles it row by row once a minute. Its messages
        would be delivered again until they are dead letters.
        """
        batch = self._open_batch(job_name)
        if batch and given_up and batch.lane == Lane.EXPRESS:
            self.runs.lost(job_name, given_up)
        if batch and batch.tries >= TOGETHER_TRIES:
            logger.warning("batch left to the sweep", extra={"batch": batch.batch_id, "tries": batch.tries})
            return None
        return self._try_to_collect(batch, job_name) if batch else None

    def collect_alone(self, job_name: str) -> Collected | None:
        """Collect a batch that failed as a whole, row by row."""
        batch = self._open_batch(job_name)
        return self._try_to_collect(batch, job_name) if batch else None

    def _open_batch(self, job_name: str) -> Batch | None:
        """Return the batch of one of this stage's jobs, while it has rows to settle."""
        batch_id = layout.batch_of_job(self.job_name_prefix, job_name)
        batch = self.batches.get(batch_id) if batch_id else None
        return batch if batch and batch.status in {BatchStatus.READY, BatchStatus.SUBMITTED} else None

    def _try_to_collect(self, batch: Batch, job_name: str) -> Collected | None:
        job = describe(batch, job_name, self.jobs, self.runs)
        if job is None or not job.status.ended:
            return None
        self.trying.begin(batch)
        try:
            return self._collect(batch, job)
        except Exception as error:
            self.trying.ended(batch, error)
            raise

    def give_back(self, batch: Batch, rows: Sequence[Row]) -> Collected:
        """Finish a batch that cannot be advanced: each row that it holds is requeued, or fails if its tries are used.

        As after a failed job, a batch that keeps failing is divided in four.

        A row that cannot be written even then is left behind, since all others wait for the slot. Its error is raised
        at the end.
        """
        tally = _Tally()
        for position, row in enumerate(rows):
            try:
                tally.settled[self.settling.again(row, position, len(rows), batch, NOT_COLLECTED)] += 1
            except Exception as error:
                if is_trouble(error):
                    raise
                logger.error("row left behind", extra={"batch": batch.batch_id, **row.log_fields})
                tally.errors.append(error)
        self._reopen({row.study_instance_uid or "" for row in rows})
        if self.marking.champions.withdrawal(batch.model_package):
            self.marking.champions.mark_again(batch.model_package)  # some rows may have ended before
        self.batches.finish(batch, answered=0, now=timestamp(self.clock()))
        self.work.delete(list(self.work.keys(layout.output_prefix(self._job_of(batch)))))
        if tally.errors:
            raise tally.error
        return tally.outcome(None)

    def _job_of(self, batch: Batch) -> str:
        return layout.job_name(self.job_name_prefix, batch.batch_id)

    def _collect(self, batch: Batch, job: TransformJob) -> Collected:
        """Settle each upload of the manifest that the batch still holds, then mark, clean up, and free the slot.

        Safe to repeat: a later call continues after a crash.
        """
        keys = list(self.work.keys(layout.output_prefix(job.name)))
        outputs = {upload: key for key in keys if (upload := layout.upload_of_output(key))}
        ended = EndedJob(batch=batch, job=job, manifest=self._manifest(batch), outputs=outputs)
        tally = _Tally()
        if batch.tries < TOGETHER_TRIES:
            self._together(ended, tally)
        else:
            self._one_by_one(ended, tally)
        if tally.errors:  # all other rows are settled; the batch stays open and is retried for the rest
            raise tally.error
        if tally.left:
            self.trying.forgive(batch)
            return tally.outcome(None)
        self._reopen(tally.studies)
        self._mark_if_withdrawn(ended)
        # The remaining outputs are of requeued rows, which get another job's answer: nothing reads these again.
        self.work.delete([key for key in keys if key not in tally.deleted])
        self.batches.finish(
            batch,
            answered=len(keys) or int(tally.answered),
            stopped_of=len(ended.manifest) if ended.stopped else 0,
            now=timestamp(self.clock()),
        )
        return tally.outcome(job)

    def _together(self, ended: EndedJob, tally: _Tally) -> None:
        """Settle the rows many at a time."""
        with ThreadPoolExecutor(READERS) as pool:
            for chunk in _chunks(range(len(ended.manifest))):
                try:
                    self._settle_chunk(ended, chunk, tally, self.settling.settle, pool.map)
                except Exception as error:
                    tally.errors.append(error)

    def _one_by_one(self, ended: EndedJob, tally: _Tally) -> None:
        """Settle the rows one at a time, ordered by how often they were tried alone.

        So all others come before a second try of a row in which the function dies.
        """
        until = self.clock() + timedelta(seconds=ALONE_SECONDS)
        positions: Sequence[int] = range(len(ended.manifest))
        for tries in range(ROW_TRIES + 1):
            later: list[int] = []

            def settle(
                ended: EndedJob, position: int, row: Row, tries: int = tries, later: list[int] = later
            ) -> Status | None:
                if (row.collect_tries or 0) > tries:
                    later.append(position)
                elif self.clock() > until:
                    tally.left += 1
                else:
                    return self._settle_alone(ended, position, row, tally)
                return None

            for chunk in _chunks(positions):
                self._settle_chunk(ended, chunk, tally, settle, map)
            positions = later

    def _settle_chunk(
        self,
        ended: EndedJob,
        chunk: Sequence[int],
        tally: _Tally,
        settle: Callable[[EndedJob, int, Row], Status | None],
        at_once: Callable[..., Iterable[Any]],
    ) -> None:
        """Settle the uploads at some positions of the manifest; delete the copies and outputs of the ended ones.

        This includes rows that an earlier collector ended: it may have died before it deleted them.
        """
        rows = self.index.get_many(ended.member(position) for position in chunk)
        held = [(position, row) for position in chunk if (row := rows.get(ended.member(position))) and ended.holds(row)]

        def try_to_settle(held_row: tuple[int, Row]) -> Status | None:
            try:
                return settle(ended, *held_row)
            except Exception as error:
                tally.errors.append(error)
                return None

        waiting = [(position, row) for position, row in held if row.status == Status.BATCHED]
        settled: list[Status | None] = list(at_once(try_to_settle, waiting))
        tally.settled.update(settled)
        tally.answered |= any(row.status.terminal and row.code not in UNANSWERED for _, row in held)
        over = [position for position, row in held if row.status.terminal]
        over += [position for (position, _), now in zip(waiting, settled, strict=True) if now and now.terminal]
        tally.studies |= {row.study_instance_uid or "" for _, row in held}
        outputs = [ended.outputs[one] for one in map(ended.member, over) if one in ended.outputs]
        self.work.delete([layout.instance_key(ended.manifest[position]) for position in over] + outputs)
        tally.deleted.update(outputs)

    def _settle_alone(self, ended: EndedJob, position: int, row: Row, tally: _Tally) -> Status | None:
        """Settle one row. Each try is counted before it is made; after the last one the row fails."""
        batch, tries, now = ended.batch, row.collect_tries or 0, self.clock()
        before = timestamp(now - timedelta(seconds=LEASE_SECONDS))
        if tries >= ROW_TRIES:
            # Another function may be making the last try, and take it back.
            failed = self.settling.give_up(row, batch) if (row.collect_tried_at or "") < before else None
            tally.left += failed is None
            return failed
        if not self.index.note_try(row, batch.batch_id, timestamp(now), before):
            tally.left += 1
            return None
        if not tally.reached_rows:  # from here on tries of rows are counted, not of the batch
            self.trying.forgive(batch)
            tally.reached_rows = True
        try:
            return self.settling.settle(ended, position, row)
        except Exception as error:
            logger.error("row not settled", extra={**row.log_fields, "tries": tries + 1, **loggable(error)})
            if self.trying.passes(batch, error):
                with suppress(ClientError, BotoCoreError):
                    self.index.forgive_try(row, batch.batch_id, timestamp(now))
            raise

    def _reopen(self, studies: set[str]) -> None:
        """Open the closed studies of rows that have ended.

        A study is open while a row of it waits. But a function that sends a row to be read again may die before it
        has opened the row's study.
        """
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda study: self.studies.reopen(study, self.clock()), sorted(studies - {""})))

    def _mark_if_withdrawn(self, ended: EndedJob) -> None:
        """Mark the batch's results if its version was withdrawn while the job ran.

        Every row has left the batch by now, whichever collector settled it. So either the withdrawal is seen here, or
        it comes later and finds them all.
        """
        withdrawal = self.marking.champions.withdrawal(ended.batch.model_package)
        if withdrawal:
            for chunk in _chunks(range(len(ended.manifest))):
                rows = self.index.get_many(map(ended.member, chunk))
                self.marking.mark_rows(rows.values(), withdrawal)

    def _manifest(self, batch: Batch) -> list[str]:
        """Return the entries of a batch's manifest, without its prefix."""
        document = self.work.read(layout.manifest_key(batch.batch_id))
        names: list[str] = document[1:] if isinstance(document, list) else []
        if not names or not all(isinstance(name, str) for name in names):
            raise MalformedDocument(f"The manifest of batch {batch.batch_id} is not a list of names.")
        return names


def _chunks(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    """Return the positions in chunks."""
    return (positions[start : start + CHUNK] for start in range(0, len(positions), CHUNK))
