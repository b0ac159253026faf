"""Waiting for Uploads to end: polls their rows until each is Completed, Failed or Refused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.aws.index import Index
from functions.domain.row import Row

UNSEEN = "Not seen yet"
"""The status of an upload that has no row yet, because its event has not been processed."""


@dataclass(frozen=True)
class Waited:
    """How a wait ended: the newest rows by upload id, and the ids of the uploads that have not ended."""

    rows: dict[str, Row]
    open: tuple[str, ...]

    def counts(self) -> Counter[str]:
        """Return the number of uploads by status."""
        counts = Counter(str(row.status) for row in self.rows.values())
        counts[UNSEEN] = sum(upload_id not in self.rows for upload_id in self.open)
        return +counts


def _terminal(row: Row) -> bool:
    return row.status.terminal


def wait(
    index: Index,
    upload_ids: Sequence[str],
    timeout_seconds: float,
    show: Callable[[Waited], None],
    *,
    ended: Callable[[Row], bool] = _terminal,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Poll until every upload has ended or ``timeout_seconds`` have passed; ``show`` is called after each poll.

    ``ended`` says of a row whether its upload has; an upload without a row never has.
    """
    deadline = clock() + timeout_seconds
    rows: dict[str, Row] = {}
    unfinished = list(dict.fromkeys(upload_ids))
    while True:
        rows |= index.get_many(unfinished)
        unfinished = [one for one in unfinished if one not in rows or not ended(rows[one])]
        waited = Waited(dict(rows), tuple(unfinished))
        show(waited)
        # Thousands of rows cost read capacity at every poll, so polls get rarer with their number.
        pause = max(1.0, len(unfinished) / 500)
        if not unfinished or clock() + pause > deadline:
            return waited
        sleep(pause)
