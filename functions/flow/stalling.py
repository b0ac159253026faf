"""Ends Received rows that no try moves any more: Refused, as HeldUp.

Tries follow each other by two minutes. They end without a word when Lambda has no room until the message is a dead
letter, when nothing reads the queue, and when a person or its age deletes the message. Such a row promises a try that
is not made. A later try takes the row up again (`Row.awaits_ingest`), so ending one too early loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from functions.aws.index import Index
from functions.domain.errors import RefusalCode
from functions.domain.row import NAMES, Row, Status, expiry, moment_of, timestamp
from functions.names import IndexName

STALLED_SECONDS = 600  # five tries were missed
MOST_READ = 1000  # of a sweep
MOST_ENDED = 100


@dataclass(frozen=True, kw_only=True)
class Stalling:
    """Ends the stalled rows of one stage."""

    index: Index
    clock: Callable[[], datetime]
    kept_days: int = 0  # how long a row stays after its end; 0: until it is erased

    def end(self) -> int:
        """End the rows that have stalled, those that arrived first before others; return their number."""
        received = self.index.oldest(IndexName.BY_STATUS, Status.RECEIVED, MOST_READ)
        stalled = [row for row in received if self._has_stalled(row)]
        return sum(self.index.end_stalled(row, self._changes(row)) for row in stalled[:MOST_ENDED])

    def _has_stalled(self, row: Row) -> bool:
        return (self.clock() - moment_of(row.updated_at)).total_seconds() >= STALLED_SECONDS

    def _changes(self, row: Row) -> dict[str, object]:
        how = f"ended with {row.code}" if row.code else "was cut off"
        reason = (
            f"The object was not tried again for {STALLED_SECONDS // 60} minutes; the last try {how}. Redrive its dead "
            "letter, or look at what reads the queue of uploads."
        )
        now = self.clock()
        changes: dict[str, object] = {
            NAMES["status"]: Status.REFUSED,
            NAMES["code"]: RefusalCode.HELD_UP,
            NAMES["reason"]: reason,
            NAMES["updated_at"]: timestamp(now),
        }
        expires_at = expiry(now, self.kept_days)
        return changes | ({NAMES["expires_at"]: expires_at} if expires_at else {})
