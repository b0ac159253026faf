"""Repairs what lost events and dead functions left: measures, dispatches, then finishes unfinished batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from functions.aws.batches import Batches
from functions.aws.champion import Champions
from functions.aws.express import Runs, describe
from functions.aws.index import Index
from functions.aws.jobs import Jobs
from functions.aws.ticks import Ticks
from functions.aws.trouble import loggable
from functions.domain import layout
from functions.domain.batch import Batch, BatchStatus
from functions.domain.lane import START_SECONDS, Lane
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.flow.collecting import Collected, Collecting
from functions.flow.dispatching import Dispatching
from functions.flow.marking import Marking
from functions.flow.sharing import Sharing
from functions.flow.stalling import Stalling
from functions.flow.trying import MOST_TRIES, TOGETHER_TRIES, Trying
from functions.names import IndexName, Metric

logger = logging.getLogger(__name__)

T = TypeVar("T")
STRAYS = 25  # rows checked in one sweep for a batch that is done and still holds them


@dataclass(frozen=True, kw_only=True)
class Repair:
    """The result of repairing one batch; ``done`` if there was something to repair."""

    done: bool = False
    outcome: Collected | None = None
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Gauges and counts of one sweep, and how many of its repairs failed."""

    measured: dict[Metric, float]
    failures: int


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """Checks every slot: an unfinished batch holds one.

    Leaves a batch alone until it has not changed for ``stale_seconds``, or its job has ended that long ago.
    ``report`` writes metrics at once, so that a sweep that dies has written its gauges.
    """

    dispatching: Dispatching
    collecting: Collecting
    batches: Batches
    index: Index
    champions: Champions
    jobs: Jobs
    runs: Runs
    marking: Marking
    ticks: Ticks
    trying: Trying
    stalling: Stalling
    sharing: Sharing
    report: Callable[[Mapping[Metric, float]], None]
    stale_seconds: int
    max_job_seconds: int
    clock: Callable[[], datetime]

    def run(self) -> Swept:
        """Sweep once.

        Gauges are reported first, then dispatch runs, then batches are repaired, ordered by their failures. So whatever
        a batch does to the function, it hides no alarm and delays neither new uploads nor other batches.
        """
        gauges = self._try("nothing measured", self._gauges)
        self.report(gauges or {})
        started = self._try("nothing dispatched", self.dispatching.run)
        submitted = {Metric.JOBS_SUBMITTED: float(len(started or ()))}
        self.report(submitted)
        repairs = [self._try_to_repair(batch) for batch in self._unfinished()] + self._requeue_strays()
        repaired = sum(repair.done for repair in repairs)
        if repaired:
            self.ticks.send(self.clock())
        collected = [repair.outcome for repair in repairs if repair.outcome]
        total = Collected(
            completed=sum(one.completed for one in collected),
            failed=sum(one.failed for one in collected),
            retried=sum(one.retried for one in collected),
            jobs_failed=sum(one.jobs_failed for one in collected),
        )
        stalled = self._try("stalled uploads not ended", self.stalling.end)
        if stalled:
            logger.error("uploads that nothing tried ended", extra={"rows": stalled})
        held_up = {Metric.UPLOADS_NOT_TAKEN: float(stalled or 0)}
        counts = {Metric.SWEEP_REPAIRS: float(repaired), **held_up, **total.metrics()}
        self.report(counts)
        failures = sum(repair.failed for repair in repairs) + (gauges is None) + (started is None) + (stalled is None)
        failures += not self._try_to_mark()
        # Last: studies wait for the rows that all of this has moved.
        concluded = self._try("no study closed", self.sharing.run)
        failures += concluded.failures if concluded else 1
        studies = concluded.metrics() if concluded else {}
        self.report(studies)
        return Swept(measured=(gauges or {}) | submitted | counts | studies, failures=failures)

    def _unfinished(self) -> list[Batch]:
        """Return the batches that hold slots, ordered by their failures."""
        batches = [self.batches.get(batch_id) for batch_id in self.batches.holders().values()]
        return sorted((batch for batch in batches if batch), key=lambda batch: batch.tries)

    def _try(self, problem: str, work: Callable[[], T]) -> T | None:
        """Return the result of ``work``, or None if it failed: a failure must not stop the other work."""
        try:
            return work()
        except Exception as error:
            logger.error(problem, extra=loggable(error))
            return None

    def _try_to_repair(self, batch: Batch) -> Repair:
        """Repair a batch; log an error, which must not keep the other batches from their repair."""
        try:
            return self._repair(batch)
        except Exception as error:
            logger.error("batch not repaired", extra={"batch": batch.batch_id, "tries": batch.tries, **loggable(error)})
            return Repair(failed=True)

    def _try_to_mark(self) -> bool:
        """Mark results of withdrawn versions that no collector has marked; return False if that failed."""
        marked = self._try("results of a withdrawn version not marked", lambda: self.marking.finish(self.clock()))
        if marked:
            logger.info("results marked as withdrawn", extra={"rows": marked})
        return marked is not None

    def _repair(self, batch: Batch) -> Repair:
        """Advance one unfinished batch if it is stale."""
        if batch.status == BatchStatus.COLLECTED:
            self.batches.free_slot(batch)
            return Repair(done=True)
        if batch.status == BatchStatus.SUBMITTED:
            return self._watch(batch)
        if not self._is_stale(moment_of(batch.updated_at)):
            return Repair()
        if batch.tries >= MOST_TRIES:
            return self._give_back(batch)
        return Repair(done=True) if self._resume(batch) else self._collect(batch)

    def _resume(self, batch: Batch) -> bool:
        """Resume a batch after its dispatcher died; return whether its job exists now."""
        self.trying.begin(batch)
        try:
            resumed = self.dispatching.resume(batch)
        except Exception as error:
            self.trying.ended(batch, error)
            raise
        self.trying.succeeded(batch)
        return resumed

    def _watch(self, batch: Batch) -> Repair:
        """Stop a Submitted batch's job that runs too long, or collect it if its last event was lost.

        A run that has not begun in time is called off. One that has begun ends by Lambda's time limit.
        """
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        job = describe(batch, name, self.jobs, self.runs)
        submitted = moment_of(batch.updated_at)
        waited = (self.clock() - submitted).total_seconds()
        if batch.lane == Lane.EXPRESS and job is None:
            if waited < START_SECONDS:
                return Repair()
            self.runs.call_off(name)
            return Repair(done=True)
        overdue = waited >= self.max_job_seconds
        if job is None:  # it no longer exists, or was never started, and no function can start it any more
            return self._give_back(batch) if overdue else Repair()
        if job.status.ended:
            return self._collect(batch) if self._is_stale(job.ended_at or submitted) else Repair()
        if not overdue or batch.lane == Lane.EXPRESS:
            return Repair()
        self.jobs.stop(name)
        return Repair(done=True)

    def _collect(self, batch: Batch) -> Repair:
        if batch.tries >= MOST_TRIES:
            return self._give_back(batch)
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        together = batch.tries < TOGETHER_TRIES
        outcome = self.collecting.collect(name) if together else self.collecting.collect_alone(name)
        return Repair(done=outcome is not None, outcome=outcome)

    def _give_back(self, batch: Batch) -> Repair:
        """Finish a batch that failed each time, if it has no running job: its slot is free for others.

        First the fence is closed. The rows are given back in a later sweep, when the index shows all of them.
        """
        now = timestamp(self.clock())
        if self.batches.advance(batch.batch_id, [BatchStatus.CLAIMING], BatchStatus.READY, now):
            return Repair()
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        if batch.lane == Lane.EXPRESS:
            self.runs.call_off(name)
        job = describe(batch, name, self.jobs, self.runs)
        is_its_own = batch.lane == Lane.EXPRESS or (job is not None and self.jobs.reads(job, batch.batch_id))
        runs = job is not None and not job.status.ended and is_its_own
        # Without a job, a function that began before may still start it. When a job of this batch would be overdue,
        # that function is over, and the job that it started is found.
        may_start = job is None and batch.status != BatchStatus.SUBMITTED
        if runs or may_start:
            if self.batches.advance(batch.batch_id, [BatchStatus.READY], BatchStatus.SUBMITTED, now):
                self.trying.succeeded(batch)  # the tries to collect it are counted anew
            return Repair(done=runs)
        owned = [row for row in self.index.find(IndexName.BY_STATUS, Status.BATCHED) if row.batch_id == batch.batch_id]
        logger.error("batch given back", extra={"batch": batch.batch_id, "rows": len(owned), "tries": batch.tries})
        return Repair(done=True, outcome=self.collecting.give_back(batch, owned))

    def _requeue_strays(self) -> list[Repair]:
        """Requeue rows that a finished batch still holds; return one repair for each such batch.

        ``_give_back`` finds a batch's rows in an index, which may lag by more than ``stale_seconds`` and hide some.
        """
        oldest = self._try("no rows read", lambda: self.index.oldest(IndexName.BY_STATUS, Status.BATCHED, STRAYS))
        stale = [row for row in oldest or () if self._is_stale(moment_of(row.updated_at))]
        batches = {
            row.batch_id: [one for one in stale if one.batch_id == row.batch_id] for row in stale if row.batch_id
        }
        return [self._try_to_requeue(batch_id, rows) for batch_id, rows in batches.items()]

    def _try_to_requeue(self, batch_id: str, rows: Sequence[Row]) -> Repair:
        try:
            batch = self.batches.get(batch_id)
            if batch is None or batch.status != BatchStatus.COLLECTED:
                return Repair()
            now = self.index.get_many(row.upload_id for row in rows)
            held = [row for row in now.values() if row.status == Status.BATCHED and row.batch_id == batch_id]
            if not held:
                return Repair()
            logger.error("rows of a finished batch requeued", extra={"batch": batch_id, "rows": len(held)})
            return Repair(done=True, outcome=self.collecting.give_back(batch, held))
        except Exception as error:
            logger.error("rows of a finished batch not requeued", extra={"batch": batch_id, **loggable(error)})
            return Repair(failed=True)

    def _is_stale(self, since: datetime) -> bool:
        return (self.clock() - since).total_seconds() >= self.stale_seconds

    def _gauges(self) -> dict[Metric, float]:
        """Return the gauges. The oldest wait counts Batched uploads too, whose job may still wait for room."""
        pending = self.index.count(IndexName.BY_STATUS, Status.PENDING)
        oldest = [
            row.waits_since
            for status in (Status.PENDING, Status.BATCHED)
            for row in self.index.oldest(IndexName.BY_STATUS, status, 1)
        ]
        waited = (self.clock() - moment_of(min(oldest))).total_seconds() if oldest else 0
        return {
            Metric.PENDING: pending,
            Metric.OLDEST_PENDING_SECONDS: waited,
            Metric.SLOTS_BUSY: len(self.batches.holders()),
            Metric.MODEL_MISSING: int(pending > 0 and self.champions.get() is None),
            Metric.BUDGET_REACHED: int(pending > 0 and self.dispatching.used_up()),
        }
