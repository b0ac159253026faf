"""The policy of group commit, and the retries of rows after a failed job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.domain.batch import (
    BARREN_JOBS_BEFORE_PAUSE,
    Backlog,
    Limits,
    after_failure,
    candidates,
    decide,
    next_in_line,
    worst_seconds,
)
from functions.domain.row import Row, Status

LIMITS = Limits(slots=4, max_batch=5000, parallel_threshold=2500, max_wait_seconds=240, worst_seconds=2400)
IDLE = Backlog(pending=1, full=False, oldest_wait_seconds=1, live_jobs=0, barren_jobs=0, seconds_since_barren=0)
ROW = Row(upload_id="a", key="k", version_id="v", size=1, received_at="2026", updated_at="2026", status=Status.BATCHED)


def test_a_lone_upload_starts_a_job_when_nothing_runs() -> None:
    assert decide(IDLE, LIMITS) is None


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({"pending": 0}, False),
        ({"live_jobs": 1}, False),
        ({"live_jobs": 1, "pending": 2500}, True),
        ({"live_jobs": 1, "full": True}, True),
        ({"live_jobs": 1, "oldest_wait_seconds": 240}, True),
        ({"live_jobs": 4, "pending": 5000, "oldest_wait_seconds": 900}, False),
    ],
)
def test_a_parallel_job_needs_a_large_or_an_old_backlog(changes: dict[str, int], starts: bool) -> None:
    assert (decide(replace(IDLE, **changes), LIMITS) is None) == starts


def test_a_full_batch_is_large_even_below_the_threshold() -> None:
    small = replace(LIMITS, max_batch=100)
    assert decide(replace(IDLE, live_jobs=1, pending=100), small) is None


def test_after_many_jobs_without_output_jobs_come_one_at_a_time_with_growing_pauses() -> None:
    barren = replace(IDLE, barren_jobs=BARREN_JOBS_BEFORE_PAUSE, pending=5000)
    assert decide(replace(barren, seconds_since_barren=59), LIMITS)
    assert decide(replace(barren, seconds_since_barren=60), LIMITS) is None
    assert decide(replace(barren, seconds_since_barren=60, live_jobs=1), LIMITS)
    later = replace(barren, barren_jobs=BARREN_JOBS_BEFORE_PAUSE + 3)
    assert decide(replace(later, seconds_since_barren=479), LIMITS)
    assert decide(replace(later, seconds_since_barren=480), LIMITS) is None
    assert decide(replace(later, barren_jobs=1000, seconds_since_barren=1800), LIMITS) is None


def test_candidates_never_mix_retry_groups() -> None:
    rows = [replace(ROW, upload_id=str(n), retry_group=group) for n, group in enumerate(["g", None, "g", "h", None])]
    assert [row.upload_id for row in candidates(rows, LIMITS)] == ["0", "2"]
    assert [row.upload_id for row in candidates(rows[1:], LIMITS)] == ["1", "4"]
    assert len(candidates(rows[1:], replace(LIMITS, max_batch=1))) == 1


NEW, RETRIED = replace(ROW, upload_id="new"), replace(ROW, upload_id="retried", retry_group="g")


@pytest.mark.parametrize(
    ("waiting", "free", "expected"),
    [
        ([RETRIED, NEW], [0, 1, 2, 3], (0, [RETRIED, NEW])),
        ([RETRIED, NEW], [2, 3], (2, [RETRIED, NEW])),
        ([RETRIED, NEW], [3], (3, [NEW])),
        ([RETRIED], [3], (3, [])),
        ([NEW, RETRIED], [0, 3], (3, [NEW, RETRIED])),
    ],
)
def test_the_last_slot_is_kept_for_new_uploads(
    waiting: list[Row], free: list[int], expected: tuple[int, list[Row]]
) -> None:
    assert next_in_line(waiting, free, slots=4, jobs_today=7, barren_jobs=0) == expected


@pytest.mark.parametrize(("slots", "barren_jobs"), [(1, 0), (4, BARREN_JOBS_BEFORE_PAUSE)])
def test_where_jobs_run_one_at_a_time_every_second_one_is_for_new_uploads(slots: int, barren_jobs: int) -> None:
    free = list(range(slots))
    for jobs_today, first in ((0, NEW), (1, RETRIED), (2, NEW)):
        _, waiting = next_in_line([RETRIED, NEW], free, slots, jobs_today, barren_jobs)
        assert waiting[0] == first
        assert next_in_line([RETRIED], free, slots, jobs_today, barren_jobs) == (0, [RETRIED]), "else they go at once"


NATIVE = replace(ROW, transfer_syntax_uid="1.2.840.10008.1.2.1")
JPEG_2000 = replace(NATIVE, transfer_syntax_uid="1.2.840.10008.1.2.4.90")


def test_a_batch_is_bounded_by_the_longest_time_of_its_objects() -> None:
    for row in (NATIVE, JPEG_2000, ROW):
        chosen = candidates([row] * 5000, LIMITS)
        assert sum(map(worst_seconds, chosen)) <= LIMITS.worst_seconds
        assert sum(map(worst_seconds, chosen)) + worst_seconds(row) > LIMITS.worst_seconds, "no smaller than it need be"


def test_an_object_that_alone_could_take_too_long_is_read_alone() -> None:
    assert len(candidates([JPEG_2000] * 3, replace(LIMITS, worst_seconds=1))) == 1


def test_only_objects_that_need_no_decoder_count_as_quick() -> None:
    assert worst_seconds(NATIVE) < worst_seconds(JPEG_2000) == worst_seconds(ROW), "an unknown syntax may be compressed"


def test_a_stopped_batch_is_retried_in_four_pieces() -> None:
    pieces = [after_failure(ROW, n, 8, "b1", "", 3, stopped=True) for n in range(8)]
    assert [piece and piece.retry_group for piece in pieces] == [f"b1-{n}" for n in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert {piece.attempt for piece in pieces if piece} == {1}
    assert after_failure(replace(ROW, attempt=2), 0, 1, "b1", "", 3, stopped=True) is None, "alone it has failed"


def test_a_first_failure_is_retried_together_then_in_four_pieces() -> None:
    first = [after_failure(ROW, n, 4, "b1", "AlgorithmError", 3) for n in range(4)]
    assert {retry.retry_group for retry in first if retry} == {"b1"}
    second = [after_failure(replace(ROW, attempt=1), n, 4, "b2", "AlgorithmError", 3) for n in range(4)]
    assert [retry and retry.retry_group for retry in second] == ["b2-0", "b2-1", "b2-2", "b2-3"]


def test_only_an_upload_alone_in_its_batch_can_fail() -> None:
    assert after_failure(replace(ROW, attempt=50), 0, 2, "b", "AlgorithmError", 3)
    assert after_failure(replace(ROW, attempt=1), 0, 1, "b", "AlgorithmError", 3)
    assert after_failure(replace(ROW, attempt=2), 0, 1, "b", "AlgorithmError", 3) is None


def test_trouble_of_the_service_counts_against_no_upload() -> None:
    tired = replace(ROW, attempt=9, retry_group="g")
    for reason in ("CapacityError: Unable to provision", "InternalServerError: We encountered an internal error."):
        retry = after_failure(tired, 0, 1, "b", reason, 3)
        assert retry
        assert (retry.attempt, retry.retry_group) == (9, "g")


def test_an_internal_error_of_the_service_divides_a_batch_and_counts_only_against_the_worn_out() -> None:
    reason = "InternalServerError: We encountered an internal error. Please try again."
    pieces = [after_failure(ROW, n, 8, "b1", reason, 3) for n in range(8)]
    assert [one and (one.attempt, one.retry_group) for one in pieces] == [(0, f"b1-{n // 2}") for n in range(8)]
    tired = replace(ROW, attempt=2, retry_group="g")
    assert after_failure(tired, 0, 1, "b", reason, 3, worn_out=True) is None
    assert after_failure(tired, 0, 1, "b", "CapacityError: none", 3, worn_out=True)
