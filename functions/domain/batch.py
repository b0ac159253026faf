"""Group commit: when to start one more transform job, its uploads, and the retries of uploads without an answer.

A stopped job has no outputs, and the uploads of a job wait for its slowest. So a job takes only as many uploads as end
in time even if each takes as long as the container allows.

The protocol. Every step is a conditional write, and each can be repeated:

===========  ============================  ===========  ===============  ============================================
of a batch   event                         next         by               condition
===========  ============================  ===========  ===============  ============================================
none         rows wait, a slot is free     Claiming     dispatch, sweep  slot and batch are new, the day has jobs left
Claiming     each candidate was asked      Ready        dispatch, sweep  Claiming: the fence closes behind the claims
Ready        its job exists                Submitted    dispatch, sweep  Ready; a job's name is its batch's
Ready        no room in the account        Ready        sweep            it keeps its slot and asks again
Ready        it owns no row, has no job    Collected    dispatch, sweep  Ready
Ready        its job is refused for good   Collected    dispatch, sweep  its rows are requeued first
Submitted    its job or run ended          Collected    collect, sweep   no row is left in it
Submitted    its run does not begin        Submitted    sweep            it is called off, and then cannot begin
Ready        five tries, and no job        Submitted    sweep            Ready: a late start is found there
any of them  five tries to advance it      Collected    sweep            no job runs; its rows are requeued
===========  ============================  ===========  ===============  ============================================

===========  ============================  ===========  ===============  ============================================
of a row     event                         next         by               condition
===========  ============================  ===========  ===============  ============================================
none         tried, and not yet taken in   Received     ingest           there is no row yet
none         ingested, or not served       Pending,     ingest           there is no row yet, or it is Received or
                                           Refused                       HeldUp
none         a sender's marker             Marker       ingest           the same
Received     nothing tries it any more     Refused      sweep            as HeldUp: tried ten minutes ago
Pending      claimed                       Batched      dispatch, sweep  Pending, and the batch is Claiming
Batched      a prediction for its bytes    Completed    collect, sweep   the batch holds it
Batched      an error about its bytes      Failed       collect, sweep   the batch holds it
Batched      no answer                     Pending      collect, sweep   the batch holds it, and tries are left
Batched      its tries are used            Failed       collect, sweep   the batch holds it
Batched      its batch is Collected        Pending      sweep            the batch holds it
Completed    its version was withdrawn     Pending      rescore          by that version, and seen unchanged
Completed    its study was read by two     Pending      sweep            by that version, and seen unchanged
all but      erased                        Erased       wetread erase    no batch holds it, and seen unchanged
Batched
===========  ============================  ===========  ===============  ============================================
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.lane import Lane
from functions.domain.row import Row
from functions.names import INTERNAL_ERROR, NO_CAPACITY

# The longest that the container works on one object, in seconds of one decoder. Decoding without one counts as the
# network's time. tests/contract/test_worst_case.py compares these with the container's own bounds.
DECODERS = 2  # of a host, at least
DECODE_SECONDS = 5.0  # for a frame
RESTART_SECONDS = 1.5  # of a decoder that a frame has crashed
READ_SECONDS = 0.5
# Without the deflated one: hostile bytes take 0.08 s for each MiB to inflate to nothing.
NATIVE_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
    }
)
# Of a batch that keeps failing, or took too long. With four slots the pieces run at once. A poison object is alone
# after half as many rounds as with two pieces, and hardly more jobs.
PIECES = 4
# After so many jobs in a row without any output, jobs start one at a time with growing pauses: a cause that fails every
# job (a missing permission, say) must cost neither a job per upload nor the uploads.
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
    """The uploads that one transform job or one run of the express lane serves; times are ISO 8601.

    ``tries`` counts the tries to advance it that ended in an error other than AWS trouble, or in the function's death.
    ``first_tried_at`` is the time of the first ("" before it). ``weights_sha256`` is of the model that its job serves
    ("" for a batch from before it was recorded), ``artifact_sha256`` of that model's file, where a run reads it.
    """

    batch_id: str
    status: BatchStatus
    slot: int
    model_name: str
    model_package: str
    created_at: str
    updated_at: str
    tries: int = 0
    first_tried_at: str = ""
    weights_sha256: str = ""
    artifact_sha256: str = ""
    lane: Lane = Lane.TRANSFORM


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The stage's limits: see ``decide``. ``worst_seconds`` is the longest that the uploads of one job may take."""

    slots: int
    max_batch: int
    parallel_threshold: int
    max_wait_seconds: int
    worst_seconds: float


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The pending uploads (as far as they were read), their oldest wait, and the live jobs.

    ``full`` is whether more uploads are pending than the next batch takes.
    """

    pending: int
    full: bool
    oldest_wait_seconds: float
    live_jobs: int
    barren_jobs: int
    seconds_since_barren: float


@dataclass(frozen=True, kw_only=True)
class JobShape:
    """The settings that every transform job of a stage shares; the payload is in MiB.

    ``data_key_arn`` encrypts the outputs, ``volume_key_arn`` the disks; it is "" for self-encrypting disks: SageMaker
    refuses a key for those. ``resource_tags`` are ``key=value``.
    """

    instance_type: str
    instance_count: int
    max_concurrent_transforms: int
    max_payload_mb: int
    transform_ami_version: str
    data_key_arn: str
    volume_key_arn: str
    resource_tags: tuple[str, ...] = ()


def decide(backlog: Backlog, limits: Limits) -> str | None:
    """Return None if one more job should start now, else the reason to wait.

    One job starts when nothing runs. A parallel one starts only for a backlog worth a start-up time, or one that has
    waited long; all other uploads join the next batch. This is group commit: few, well-filled jobs, bounded wait.
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
        and not backlog.full
        and backlog.pending < min(limits.parallel_threshold, limits.max_batch)
        and backlog.oldest_wait_seconds < limits.max_wait_seconds
    ):
        return "a job is running and the backlog is neither large nor old"
    return None


def next_in_line(
    oldest_first: Sequence[Row], free_slots: Sequence[int], slots: int, jobs_today: int, barren_jobs: int
) -> tuple[int, Sequence[Row]]:
    """Return the slot of the next batch, and the uploads that it may take, which may be none.

    Retries are older than new uploads, and objects that keep failing their jobs can be retries for hours. So the last
    slot is kept for new uploads; where jobs run one at a time, every second one is theirs.
    """
    new = [row for row in oldest_first if row.retry_group is None]
    if slots == 1 or barren_jobs >= BARREN_JOBS_BEFORE_PAUSE:
        waiting = new if new and jobs_today % 2 == 0 else oldest_first
    else:
        waiting = new if list(free_slots) == [slots - 1] else oldest_first
    is_new = not waiting or waiting[0].retry_group is None
    return max(free_slots) if is_new else min(free_slots), waiting


def worst_seconds(row: Row) -> float:
    """Return the longest that an upload keeps one of a host's decoders busy, in seconds."""
    return READ_SECONDS if row.transfer_syntax_uid in NATIVE_SYNTAXES else DECODE_SECONDS + RESTART_SECONDS


def candidates(oldest_first: Sequence[Row], limits: Limits) -> list[Row]:
    """Return the uploads of the next batch: the oldest, and those that may share a job with it (the same retry group).

    These are at least one, and as many as end within ``worst_seconds`` even if each takes as long as it can.
    """
    group = oldest_first[0].retry_group
    chosen: list[Row] = []
    seconds = 0.0
    for row in oldest_first:
        if row.retry_group != group:
            continue
        seconds += worst_seconds(row)
        if chosen and (seconds > limits.worst_seconds or len(chosen) == limits.max_batch):
            break
        chosen.append(row)
    return chosen


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How a row becomes Pending again: with this attempt number, in this group."""

    attempt: int
    retry_group: str | None


def after_failure(
    row: Row,
    position: int,
    batch_size: int,
    batch_id: str,
    failure_reason: str,
    max_attempts: int,
    *,
    stopped: bool = False,
    malformed: bool = False,
    worn_out: bool = False,
) -> Retry | None:
    """Return the Retry of a row without an answer from its job, or None if it has failed for good.

    ``position`` is the row's index in the batch's manifest, ``batch_size`` the manifest's length. After a first failure
    the batch is retried together. A batch that keeps failing is divided in four until the poison is alone, which takes
    log4(n) levels and harms no neighbour. A batch with a ``stopped`` job would be stopped again, after a whole job's
    time, so it is divided at once. An upload fails when its tries are used and it is alone in its batch, or when its
    own outputs were ``malformed`` each time: then there is no poison to find, and a job for each of a thousand such
    uploads would cost more than the thousand.

    What the service under the job calls its own failure counts against no upload. Of an internal error the batch is
    divided all the same, so that an object that is behind it keeps no neighbour; and it counts against an upload that
    is ``worn_out``, which has waited longer than the service's own trouble lasts.
    """
    piece = f"{batch_id}-{position * PIECES // batch_size}"
    if failure_reason.startswith(NO_CAPACITY):
        return Retry(attempt=row.attempt, retry_group=row.retry_group)
    if failure_reason.startswith(INTERNAL_ERROR) and not worn_out:
        return Retry(attempt=row.attempt, retry_group=row.retry_group if batch_size == 1 else piece)
    attempt = row.attempt + 1
    if batch_size == 1 or malformed:
        return None if attempt >= max_attempts else Retry(attempt=attempt, retry_group=batch_id)
    if attempt == 1 and not stopped:
        return Retry(attempt=attempt, retry_group=batch_id)
    return Retry(attempt=attempt, retry_group=piece)


def after_express(row: Row) -> Retry:
    """Return the Retry of a row without an answer from a run of the express lane: by a transform job.

    All such rows go together, as they would without the lane: several runs share a study, and may fail together. It
    costs no try: whatever ended the run, the row has all the tries of an upload that never took the lane.
    """
    return Retry(attempt=row.attempt, retry_group=Lane.EXPRESS)
