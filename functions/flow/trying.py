"""Counts the tries to bring a batch on, each before it is made, so that one that kills the function is counted too.

What repeats must end: after some tries a batch is collected row by row, and after some more it is given back. What
passes must not end anything: a try that AWS's own trouble ended is taken back, for a day.
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
MOST_TRIES = 5  # of a batch whose rows cannot even be tried, before it is given back
TROUBLE_SECONDS = 24 * 3600  # how long AWS's trouble, or the account's, may last without costing anybody a try


@dataclass(frozen=True, kw_only=True)
class Trying:
    """The count of one stage's batches."""

    batches: Batches
    clock: Callable[[], datetime]

    def begin(self, batch: Batch) -> None:
        """Count a try that begins now."""
        self._note(batch, batch.tries + 1)

    def forgive(self, batch: Batch) -> None:
        """Take the try back that was counted last. ``batch`` is as it was before ``begin``."""
        self._note(batch, batch.tries)

    def succeeded(self, batch: Batch) -> None:
        """Forget all tries of a batch that has come on, and has more before it."""
        self.batches.note_tries(batch.batch_id, 0, "")

    def ended(self, batch: Batch, error: Exception) -> None:
        """Take a try back that ended in an error, if that error may pass."""
        if self.passes(batch, error):
            with suppress(ClientError, BotoCoreError):  # then it stays counted, and the caller raises its error
                self.forgive(batch)

    def passes(self, batch: Batch, error: Exception) -> bool:
        """Whether an error is trouble that may pass, and has not lasted too long."""
        return is_trouble(error) and not self._worn_out(batch)

    def _note(self, batch: Batch, tries: int) -> None:
        self.batches.note_tries(batch.batch_id, tries, batch.first_tried_at or timestamp(self.clock()))

    def _worn_out(self, batch: Batch) -> bool:
        first = batch.first_tried_at
        return bool(first) and (self.clock() - moment_of(first)).total_seconds() >= TROUBLE_SECONDS
