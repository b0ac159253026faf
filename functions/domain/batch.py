"""Group commit: when to start one more transform job, which uploads go in it, and what becomes of those it left out."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.row import Row

# Failures of the service under the job, not of its objects: trying again is right, splitting and counting are not.
INFRASTRUCTURE_REASONS = ("CapacityError", "InternalServerError")
# After so many jobs in a row without one output, jobs start one at a time with growing pauses: what every job trips
# over (a missing permission, say) must cost neither a job per upload nor the uploads.
BARREN_JOBS_BEFORE_PAUSE = 5
FIRST_PAUSE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 1800


class BatchStatus(enum.StrEnum):
    """The life of a Batch. Only Claiming admits rows: Ready closes the fence, so what a Ready batch owns is fixed."""

    CLAIMING = "Claiming"
    READY = "Ready"
    SUBMITTED = "Submitted"
    COLLECTED = "Collected"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The uploads that one transform job serves; times are ISO 8601.

    ``weights_sha256`` are the weights that its answers must be of, "" in a batch from before they were recorded.
    """

    batch_id: str
    status: BatchStatus
    slot: int
    model_name: str
    model_package: str
    created_at: str
    updated_at: str
    weights_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The stage's limits: see ``decide``."""

    slots: int
    max_batch: int
    parallel_threshold: int
    max_wait_seconds: int


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits and what runs: pending uploads (as far as one batch takes them), seconds, live jobs."""

    pending: int
    oldest_wait_seconds: float
    live_jobs: int
    barren_jobs: int
    seconds_since_barren: float


def decide(backlog: Backlog, limits: Limits) -> str | None:
    """None when one more job should start now; otherwise the reason to wait.

    One job starts when nothing runs. A parallel one starts only for a backlog worth a start-up time, or one that has
    waited long; everything else joins the next batch. This is group commit: few, well-filled jobs, bounded wait.
    """
    if not backlog.pending:
        return "nothing is pending"
    if backlog.live_jobs >= limits.slots:
        return "all slots are busy"
    if backlog.barren_jobs >= BARREN_JOBS_BEFORE_PAUSE:
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (backlog.barren_jobs - BARREN_JOBS_BEFORE_PAUSE), LONGEST_PAUSE_SECONDS)
        if backlog.live_jobs or backlog.seconds_since_barren < pause:
            return f"the last {backlog.barren_jobs} jobs gave no output: one at a time, {pause} s apart"
    if (
        backlog.live_jobs
        and backlog.pending < min(limits.parallel_threshold, limits.max_batch)
        and backlog.oldest_wait_seconds < limits.max_wait_seconds
    ):
        return "a job is running and the backlog is neither large nor old"
    return None


def candidates(oldest_first: Sequence[Row], limits: Limits) -> list[Row]:
    """The uploads of the next batch: the oldest, and what may share a job with it (the same retry group)."""
    group = oldest_first[0].retry_group
    return [row for row in oldest_first if row.retry_group == group][: limits.max_batch]


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Back to Pending: with this attempt number, in this group."""

    attempt: int
    retry_group: str | None


def after_failure(
    row: Row, position: int, batch_size: int, batch_id: str, failure_reason: str, max_attempts: int
) -> Retry | None:
    """What becomes of a row whose job gave no output for it: a Retry, or None when it has failed for good.

    ``position`` is the row's place in the batch's manifest, ``batch_size`` the manifest's length. A first failure is
    retried together; a batch that keeps failing is split in halves until the poison is alone, which takes log2(n)
    levels and harms no neighbour. Only an upload that is alone in its batch can fail.
    """
    if failure_reason.startswith(INFRASTRUCTURE_REASONS):
        return Retry(attempt=row.attempt, retry_group=row.retry_group)
    attempt = row.attempt + 1
    if batch_size == 1:
        return None if attempt >= max_attempts else Retry(attempt=attempt, retry_group=batch_id)
    if attempt == 1:
        return Retry(attempt=attempt, retry_group=batch_id)
    half = "lower" if position < batch_size // 2 else "upper"
    return Retry(attempt=attempt, retry_group=f"{batch_id}-{half}")
