"""Counts the tries to advance a batch, each before it is made, so that a try that kills the function counts too.

A repeated error must end: after some tries a batch is collected row by row, and after more tries it is given back. A
passing error must not: a try that AWS trouble ended is taken back, for a day.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.batches import Batches
from functions.aws.trouble import is_trouble
from functions.domain.batch import Batch
from functions.domain.row import moment_of, timestamp

TOGETHER_TRIES = 2  # of a batch as a whole, before its rows are tried one at a time
MOST_TRIES = 5  # of a batch with rows that cannot even be tried, before it is given back
TROUBLE_SECONDS = 24 * 3600  # how long AWS trouble, or the account's, may last without costing a batch a try


@dataclass(frozen=True, kw_only=True)
class Trying:
    """The count of one stage's batches."""

    batches: Batches
    clock: Callable[[], datetime]

    def begin(self, batch: Batch) -> None:
        """Count a try that begins now."""
        self._note(batch, batch.tries + 1)

    def forgive(self, batch: Batch) -> None:
        """Take back the last counted try. ``batch`` is as it was before ``begin``."""
        self._note(batch, batch.tries)

    def succeeded(self, batch: Batch) -> None:
        """Reset the tries of a batch that has advanced and has further steps."""
        self.batches.note_tries(batch.batch_id, 0, "")

    def ended(self, batch: Batch, error: Exception) -> None:
        """Take back a try that ended in an error, if that error may pass."""
        if self.passes(batch, error):
            with suppress(ClientError, BotoCoreError):  # then it stays counted, and the caller raises its error
                self.forgive(batch)

    def passes(self, batch: Batch, error: Exception) -> bool:
        """Return whether an error is AWS trouble that has not lasted too long."""
        return is_trouble(error) and not self._worn_out(batch)

    def _note(self, batch: Batch, tries: int) -> None:
        self.batches.note_tries(batch.batch_id, tries, batch.first_tried_at or timestamp(self.clock()))

    def _worn_out(self, batch: Batch) -> bool:
        first = batch.first_tried_at
        return bool(first) and (self.clock() - moment_of(first)).total_seconds() >= TROUBLE_SECONDS
