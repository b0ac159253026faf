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
from functions.flow.collecting import Collecting
from functions.flow.dispatching import Dispatching
from functions.settings import Metric


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """Looks at every slot: an unfinished batch holds one. Repairs only what has been still for ``stale_seconds``."""

    dispatching: Dispatching
    collecting: Collecting
    batches: Batches
    index: Index
    champions: Champions
    jobs: Jobs
    ticks: Ticks
    slots: int
    stale_seconds: int
    max_job_seconds: int
    clock: Callable[[], datetime]

    def run(self) -> dict[Metric, float]:
        """Sweep once; return the gauges and the number of repairs."""
        held = self.batches.holders(self.slots)
        unfinished = [batch for batch_id in held.values() if (batch := self.batches.get(batch_id))]
        repairs = sum(map(self._mend, unfinished))
        if repairs:
            self.ticks.send(self.clock())
        started = self.dispatching.run()
        return self._gauges() | {Metric.SWEEP_REPAIRS: repairs, Metric.JOBS_SUBMITTED: len(started)}

    def _mend(self, batch: Batch) -> bool:
        """Bring one unfinished batch on if it stands still; True when there was something to repair."""
        still = self._age(batch.updated_at) >= self.stale_seconds
        if batch.status == BatchStatus.COLLECTED:
            self.batches.free_slot(batch)
            return True
        if batch.status in {BatchStatus.CLAIMING, BatchStatus.READY}:
            return still and (self.dispatching.resume(batch) or self._collect(batch))
        return self._watch(batch)

    def _watch(self, batch: Batch) -> bool:
        """A Submitted batch: collect it when its job's last event was lost, stop a job that runs too long."""
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        job = self.jobs.describe(name)
        if job is not None and not job.status.ended:
            if self._age(batch.updated_at) >= self.max_job_seconds:
                self.jobs.stop(name)
                return True
            return False
        return self._age(batch.updated_at) >= self.stale_seconds and self._collect(batch)

    def _collect(self, batch: Batch) -> bool:
        name = layout.job_name(self.dispatching.job_name_prefix, batch.batch_id)
        return self.collecting.collect(name) is not None

    def _gauges(self) -> dict[Metric, float]:
        oldest = self.index.pending(1)
        pending = self.index.count(IndexName.BY_STATUS, Status.PENDING) if oldest else 0
        return {
            Metric.PENDING: pending,
            Metric.OLDEST_PENDING_SECONDS: self._age(oldest[0].received_at) if oldest else 0,
            Metric.SLOTS_BUSY: len(self.batches.holders(self.slots)),
            Metric.MODEL_MISSING: int(bool(oldest) and self.champions.get() is None),
        }

    def _age(self, text: str) -> float:
        return (self.clock() - moment_of(text)).total_seconds()
