"""Waiting ends when every upload has ended, or reports those that have not."""

import dataclasses

from functions.domain.row import Status
from wetread.uploads.waiting import UNSEEN, wait


class Timeline:
    """An index with rows that change at every poll, and a clock that only sleeping moves."""

    def __init__(self, *looks) -> None:
        self.looks, self.asked, self.now = list(looks), [], 0.0

    def get_many(self, upload_ids):
        self.asked.append(list(upload_ids))
        rows = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {row.upload_id: row for row in rows if row.upload_id in upload_ids}

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(timeline, ids, timeout=60.0):
    seen = []
    return wait(timeline, ids, timeout, seen.append, clock=timeline.clock, sleep=timeline.sleep), seen


def test_ends_when_all_have_ended_and_asks_only_for_the_open_ones(pending) -> None:
    first, second = pending(), pending()
    done = dataclasses.replace(first, status=Status.COMPLETED)
    refused = dataclasses.replace(second, status=Status.REFUSED)
    timeline = Timeline([first], [done, second], [done, refused])
    result, seen = waited(timeline, [first.upload_id, second.upload_id])
    assert result.open == ()
    assert result.rows == {first.upload_id: done, second.upload_id: refused}
    assert timeline.asked[1:] == [[first.upload_id, second.upload_id], [second.upload_id]]
    assert [dict(one.counts()) for one in seen] == [
        {"Pending": 1, UNSEEN: 1},
        {"Completed": 1, "Pending": 1},
        {"Completed": 1, "Refused": 1},
    ]


def test_reports_what_is_open_after_the_timeout(pending) -> None:
    row = pending()
    timeline = Timeline([row])
    result, _ = waited(timeline, [row.upload_id, "never-seen"], timeout=5)
    assert result.open == (row.upload_id, "never-seen")
    assert timeline.now <= 5


def test_thousands_of_open_rows_are_looked_at_less_often(pending) -> None:
    rows = [pending() for _ in range(2000)]
    timeline = Timeline(rows)
    waited(timeline, [row.upload_id for row in rows], timeout=20)
    assert len(timeline.asked) <= 6


def test_what_counts_as_ended_can_be_chosen(pending) -> None:
    row = pending()
    timeline = Timeline([], [row])
    found = wait(
        timeline, [row.upload_id], 60, lambda _: None, ended=lambda _: True, clock=timeline.clock, sleep=timeline.sleep
    )
    assert (found.open, list(found.rows.values()), len(timeline.asked)) == ((), [row], 2)
