"""The net under every lost event: finishes what was left half-made, then dispatches and measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from functions.aws.batches import Batches
from functions.aws.champion import Champions
from functions.aws.index import Index, IndexName
from functions.aws.jobs import Jobs
from functions.aws.ticks import Ticks
from functions.domain import layout
from functions.domain.batch import Batch, BatchStatus
from functions.domain.row import Status, moment_of
from functions.flow.collecting import Collecting, Outcome
from functions.flow.dispatching import Dispatching
from functions.flow.marking import Marking
from functions.settings import Metric
from functions.telemetry import facts, logger


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What mending one batch came to; ``done`` when there was something to mend."""

    done: bool = False
    outcome: Outcome | None = None
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Gauges and counts of one sweep, and how many repairs failed this time."""

    measured: dict[Metric, float]
    failures: int


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """Looks at every slot: an unfinished batch holds one. Repairs only what has been still for ``stale_seconds``."""

    dispatching: Dispatching
    collecting: Collecting
    batches: Batches
    index: Index
    champions: Champions
    jobs: Jobs
    marking: Marking
    ticks: Ticks
    stale_seconds: int
    max_job_seconds: int
    clock: Callable[[], datetime]

    def run(self) -> Swept:
        """Sweep once."""
        unfinished = [batch for batch_id in self.batches.holders().values() if (batch := self.batches.get(batch_id))]
        repairs = [self._try_to_mend(batch) for batch in unfinished]
        mended = sum(repair.done for repair in repairs)
        if mended:
            self.ticks.send(self.clock())
        started = self._try_to_dispatch()
        collected = [repair.outcome for repair in repairs if repair.outcome]
        total = Outcome(
            completed=sum(one.completed for one in collected),
            failed=sum(one.failed for one in collected),
            retried=sum(one.retried for one in collected),
            jobs_failed=sum(one.jobs_failed for one in collected),
        )
        counts = {Metric.SWEEP_REPAIRS: float(mended), Metric.JOBS_SUBMITTED: float(len(started or ()))}
        failures = sum(repair.failed for repair in repairs) + (started is None) + (not self._try_to_mark())
        return Swept(measured=self._gauges() | counts | total.metrics(), failures=failures)

    def _try_to_mend(self, batch: Batch) -> Repair:
        """A batch that cannot be mended must not keep the others from it."""
        try:
            return self._mend(batch)
        except Exception as error:
            logger.error("batch not mended", extra={"batch": batch.batch_id, **facts(error)})
            return Repair(failed=True)

    def _try_to_dispatch(self) -> list[str] | None:
        """Start the jobs that the policy wants; None when that failed."""
        try:
            return self.dispatching.run()
        except Exception as error:
            logger.error("nothing dispatched", extra=facts(error))
            return None

    def _try_to_mark(self) -> bool:
        """Mark what nobody else has marked of withdrawn versions; False when that failed."""
        try:
            marked = self.marking.finish(self.clock())
        except Exception as error:
            logger.error("results of a withdrawn version not marked", extra=facts(error))
            return False
        if marked:
            logger.info("results marked as withdrawn", extra={"rows": marked})
        return True

    def _mend(self, batch: Batch) -> Repair:
        """Bring one unfinished batch on if it stands still."""
        if batch.status == BatchStatus.COLLECTED:
            self.batches.free_slot(batch)
            return Repair(done=True)
        if batch.status == BatchStatus.SUBMITTED:
            return self._watch(batch)
        if not self._still(moment_of(batch.updated_at)):
            return Repair()
        return Repair(done=True) if self.dispatching.resume(batch) else self._collect(batch)

    def _watch(self, batch: Batch) -> Repair:
        """A Submitted batch: stop a job that runs too long, collect one whose last event was lost."""
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        job = self.jobs.describe(name)
        submitted = moment_of(batch.updated_at)
        if job is None or job.status.ended:
            ended = job.ended_at if job and job.ended_at else submitted
            return self._collect(batch) if self._still(ended) else Repair()
        if (self.clock() - submitted).total_seconds() < self.max_job_seconds:
            return Repair()
        self.jobs.stop(name)
        return Repair(done=True)

    def _collect(self, batch: Batch) -> Repair:
        outcome = self.collecting.collect(layout.job_name(self.dispatching.job_name_prefix, batch.batch_id))
        return Repair(done=outcome is not None, outcome=outcome)

    def _still(self, since: datetime) -> bool:
        return (self.clock() - since).total_seconds() >= self.stale_seconds

    def _gauges(self) -> dict[Metric, float]:
        """What waits. The oldest counts until it has its answer: also in a batch that finds no room for its job."""
        pending = self.index.count(IndexName.BY_STATUS, Status.PENDING)
        oldest = [
            row.waits_since
            for status in (Status.PENDING, Status.BATCHED)
            for row in self.index.query(IndexName.BY_STATUS, status, newest_first=False, limit=1).rows
        ]
        waited = (self.clock() - moment_of(min(oldest))).total_seconds() if oldest else 0
        return {
            Metric.PENDING: pending,
            Metric.OLDEST_PENDING_SECONDS: waited,
            Metric.SLOTS_BUSY: len(self.batches.holders()),
            Metric.MODEL_MISSING: int(pending > 0 and self.champions.get() is None),
            Metric.BUDGET_REACHED: int(pending > 0 and self.dispatching.used_up()),
        }
