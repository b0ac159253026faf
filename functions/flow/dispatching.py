"""From pending rows to few jobs and runs: take a slot, claim rows behind a fence, submit under an idempotent name."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from functions.aws.artifacts import Artifacts
from functions.aws.batches import Batches, Health, Opening, day_of
from functions.aws.champion import Champions
from functions.aws.express import Runs, describe
from functions.aws.index import Index
from functions.aws.jobs import Creation, Jobs
from functions.aws.models import Models
from functions.aws.objects import Documents
from functions.domain import layout
from functions.domain.batch import (
    Backlog,
    Batch,
    BatchStatus,
    JobShape,
    Limits,
    Retry,
    after_express,
    candidates,
    decide,
    next_in_line,
)
from functions.domain.champion import Champion
from functions.domain.errors import ArtifactChanged, ModelChanged
from functions.domain.lane import ExpressLimits, Lane, is_new, lane, share
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.names import INSTANCES

logger = logging.getLogger(__name__)

WRITERS = 16  # rows written at once


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The next batch: its slot, its lane, the uploads that it may take."""

    slot: int
    lane: Lane
    chosen: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class Dispatching:
    """Starts transform jobs, and runs in the express lane, whose slots are above the jobs'.

    Safe when it runs twice at once, or dies anywhere: the sweep continues from there.
    """

    index: Index
    batches: Batches
    champions: Champions
    artifacts: Artifacts
    models: Models
    work: Documents
    jobs: Jobs
    runs: Runs
    shape: JobShape
    limits: Limits
    express: ExpressLimits
    max_jobs_per_day: int
    job_name_prefix: str
    clock: Callable[[], datetime]

    def run(self, has_time: Callable[[], bool] = lambda: True) -> list[str]:
        """Start as many jobs as the policy allows now; return the names of those that were started.

        ``has_time`` is asked before each further job: a function that is ended in the middle of one leaves its tick
        invisible for minutes, and the sweep continues where the time was too short.

        Stops at a batch without a job (its candidates were stale, or SageMaker has no room), and when the day's jobs
        are used up: another try at once would end the same. Raises ArtifactChanged or ModelChanged, and starts nothing,
        while the champion's artifact or Model is not the promoted one: the function's error raises its alarm, and
        uploads wait.
        """
        started: list[str] = []
        chosen: set[str] = set()
        while (not started or has_time()) and (batch := self._open_next(chosen)) is not None and self.resume(batch):
            started.append(layout.job_name(self.job_name_prefix, batch.batch_id))
        return started

    def _open_next(self, chosen: set[str]) -> Batch | None:
        """Open the next batch if the policy wants one: write its candidates first, then slot and batch.

        ``chosen`` are the uploads of this run's batches, which the index may still show as pending; this batch's are
        added.
        """
        champion = self.champions.get()
        if champion is None:
            return None
        held = self.batches.held()
        slots = range(self.limits.slots + self.express.express_concurrency)
        free = [slot for slot in slots if slot not in held]
        pending = [row for row in self._pending() if row.upload_id not in chosen] if free else []
        lanes = Counter(one.lane for one in held.values())
        plan = self._plan(pending, lanes, free, champion) if pending else None
        if plan is None:
            return None
        if not self.artifacts.is_intact(champion.artifact_sha256):
            uri = self.artifacts.uri(champion.artifact_sha256)
            raise ArtifactChanged(
                f"The artifact of {champion.model_package} in {uri} is gone, or not the one that was promoted. "
                "Restore its version, or promote another model."
            )
        if not self.models.is_itself(champion.model_name):
            raise ModelChanged(
                f"The SageMaker Model {champion.model_name} of {champion.model_package} is gone, or not the one that "
                "its promotion made. Find out who made it, delete it, and promote the version again."
            )
        batch = self._new_batch(plan, champion)
        most = self.express.express_per_day if plan.lane == Lane.EXPRESS else self.max_jobs_per_day
        uploads = [row.upload_id for row in plan.chosen]
        chosen.update(uploads)
        self.work.write_once(layout.candidates_key(batch.batch_id), uploads)
        return batch if self.batches.open(batch, most) == Opening.OPENED else None

    def _plan(
        self, pending: Sequence[Row], live: Counter[Lane], free: Sequence[int], champion: Champion
    ) -> Plan | None:
        """Return the next batch, None to wait. ``live`` counts the batches that hold slots.

        New uploads for which the express lane is full wait for it, but no longer than for a parallel job.
        """
        health = self.batches.health()
        barren_jobs = self._barren_jobs(champion, health)
        new = [row for row in pending if is_new(row)]
        if lane(new, self.express, champion.script_sha256, barren_jobs) == Lane.EXPRESS and not self._no_runs_left():
            places = max(0, self.express.express_concurrency - live[Lane.EXPRESS])
            express = [slot for slot in free if slot >= self.limits.slots][:places]
            if express:
                return Plan(slot=express[0], lane=Lane.EXPRESS, chosen=new[: share(len(new), len(express))])
            if self._oldest_wait(new) < self.limits.max_wait_seconds:
                pending = [row for row in pending if not is_new(row)]
        of_jobs = [slot for slot in free if slot < self.limits.slots]
        live_jobs = live[Lane.TRANSFORM]
        return self._plan_job(pending, of_jobs, live_jobs, champion, health, barren_jobs) if of_jobs else None

    def _plan_job(
        self,
        pending: Sequence[Row],
        free: Sequence[int],
        live_jobs: int,
        champion: Champion,
        health: Health,
        barren_jobs: int,
    ) -> Plan | None:
        if not pending or self.used_up():
            return None
        limits = self._limits(champion, health)
        slot, waiting = next_in_line(pending, free, limits.slots, self._jobs_today(), barren_jobs)
        chosen = candidates(waiting, limits) if waiting else []
        if decide(self._backlog(waiting, chosen, live_jobs, barren_jobs, health), limits):
            return None
        return Plan(slot=slot, lane=Lane.TRANSFORM, chosen=chosen)

    def _no_runs_left(self) -> bool:
        """Return whether today's runs of the express lane (in UTC) are used up: then uploads take transform jobs."""
        return self.batches.runs_on(day_of(timestamp(self.clock()))) >= self.express.express_per_day

    def _pending(self) -> list[Row]:
        """Return the oldest pending rows, oldest first, and new uploads even behind more retries than are read.

        Each once: an answer of several pages may show a row twice that has changed meanwhile.
        """
        pending = _each_once(self.index.pending(self.limits.max_batch))
        if len(pending) < self.limits.max_batch or any(row.retry_group is None for row in pending):
            return pending
        newest = self.index.pending(self.limits.max_batch, newest=True)
        return _each_once([*pending, *(row for row in reversed(newest) if row.retry_group is None)])

    def used_up(self) -> bool:
        """Return whether today's jobs (in UTC) are used up: then uploads wait for the next day."""
        jobs = self._jobs_today()
        if jobs >= self.max_jobs_per_day:
            logger.warning("the day's jobs are used up", extra={"jobs": jobs, "max": self.max_jobs_per_day})
        return jobs >= self.max_jobs_per_day

    def _jobs_today(self) -> int:
        return self.batches.jobs_on(day_of(timestamp(self.clock())))

    def _limits(self, champion: Champion, health: Health) -> Limits:
        """Return the stage's limits, with smaller batches while the champion's jobs take too long."""
        slow = health.slow_package == champion.model_package
        most = min(self.limits.max_batch, health.most_uploads) if slow else self.limits.max_batch
        return replace(self.limits, max_batch=most)

    def _barren_jobs(self, champion: Champion, health: Health) -> int:
        """Return the jobs in a row without output; jobs of an earlier champion do not count."""
        return health.barren_jobs if health.last_at > champion.promoted_at else 0

    def _backlog(
        self, waiting: Sequence[Row], chosen: Sequence[Row], live_jobs: int, barren_jobs: int, health: Health
    ) -> Backlog:
        now = self.clock()
        return Backlog(
            pending=len(waiting),
            full=sum(row.retry_group == chosen[0].retry_group for row in waiting) > len(chosen),
            oldest_wait_seconds=self._oldest_wait(waiting),
            live_jobs=live_jobs,
            barren_jobs=barren_jobs,
            seconds_since_barren=(now - moment_of(health.last_at)).total_seconds() if health.last_at else 0.0,
        )

    def _oldest_wait(self, waiting: Sequence[Row]) -> float:
        now = self.clock()
        return (now - min((moment_of(row.waits_since) for row in waiting), default=now)).total_seconds()

    def _new_batch(self, plan: Plan, champion: Champion) -> Batch:
        now = self.clock()
        return Batch(
            batch_id=f"{now:%Y%m%d%H%M%S}-{secrets.token_hex(4)}",
            status=BatchStatus.CLAIMING,
            slot=plan.slot,
            lane=plan.lane,
            artifact_sha256=champion.artifact_sha256,
            model_name=champion.model_name,
            model_package=champion.model_package,
            weights_sha256=champion.weights_sha256,
            created_at=timestamp(now),
            updated_at=timestamp(now),
        )

    def resume(self, batch: Batch) -> bool:
        """Advance a Claiming or Ready batch to Submitted, from any step; return whether its job exists now.

        ``candidates.json`` is read again in each step, since any step may be the first of a resumed batch.
        """
        if batch.status == BatchStatus.CLAIMING:
            self._claim(batch)
        return self._submit(batch)

    def _claim(self, batch: Batch) -> None:
        chosen = self.work.read(layout.candidates_key(batch.batch_id))
        name = layout.job_name(self.job_name_prefix, batch.batch_id)
        self.batches.claim(batch.batch_id, name, chosen, timestamp(self.clock()), batch.lane)
        # From here on no function claims for this batch, so its set of rows is fixed for every reader.
        self.batches.advance(batch.batch_id, [BatchStatus.CLAIMING], BatchStatus.READY, timestamp(self.clock()))

    def _submit(self, batch: Batch) -> bool:
        current = self.batches.get(batch.batch_id)
        if current is None or current.status != BatchStatus.READY:
            return False
        chosen = self.work.read(layout.candidates_key(batch.batch_id))
        rows = self.index.get_many(chosen)
        owned = [one for one in chosen if one in rows and _belongs(rows[one], batch.batch_id)]
        name = layout.job_name(self.job_name_prefix, batch.batch_id)
        if not owned:
            return self._let_go(batch, name)
        prefix = f"s3://{self.work.bucket}/{INSTANCES}"
        manifest = [{"prefix": prefix}, *(rows[one].instance_name for one in owned)]
        self.work.write_once(layout.manifest_key(batch.batch_id), manifest)
        creation = self._create(name, batch)
        if creation == Creation.REFUSED:
            self._requeue(batch, [rows[one] for one in owned])
        if creation != Creation.STARTED:
            return False
        return self._submitted(batch)

    def _create(self, name: str, batch: Batch) -> Creation:
        """Start the batch's job or find it started. Check its Model again, since it may have been Ready for hours.

        If the Model is another one by now, the batch is refused, and its rows wait for a batch of the champion's Model.
        """
        if batch.lane == Lane.EXPRESS:
            if not self.models.is_itself(batch.model_name):
                return self.runs.call_off(name)
            return self.runs.create(name, batch, self.artifacts.uri(batch.artifact_sha256))
        if not self.models.is_itself(batch.model_name) and self.jobs.describe(name) is None:
            return Creation.REFUSED
        return self.jobs.create(name, batch.batch_id, batch.model_name, self.shape)

    def _submitted(self, batch: Batch) -> bool:
        self.batches.advance(batch.batch_id, [BatchStatus.READY], BatchStatus.SUBMITTED, timestamp(self.clock()))
        return True

    def _let_go(self, batch: Batch, name: str) -> bool:
        """Finish a batch without rows if it never had a job: a job's collector has work left after the rows."""
        if describe(batch, name, self.jobs, self.runs):
            return self._submitted(batch)
        self.batches.finish(batch, answered=None, now=timestamp(self.clock()))
        return False

    def _requeue(self, batch: Batch, owned: list[Row]) -> None:
        """Finish a batch with a job or run that is refused for good: its rows wait for another batch."""

        def requeue(row: Row) -> None:
            same = Retry(attempt=row.attempt, retry_group=row.retry_group)
            retry = after_express(row) if batch.lane == Lane.EXPRESS else same
            self.index.requeue(row, batch.batch_id, retry, timestamp(self.clock()))

        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(requeue, owned))
        self.batches.finish(batch, answered=0, now=timestamp(self.clock()))


def _each_once(rows: Sequence[Row]) -> list[Row]:
    return list({row.upload_id: row for row in rows}.values())


def _belongs(row: Row, batch_id: str) -> bool:
    return row.status == Status.BATCHED and row.batch_id == batch_id
