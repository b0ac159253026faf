"""Erase a patient or a study: find its data, erase it, and repeat until nothing more is found."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from functions.aws.erasures import Erasure, Erasures
from functions.domain.row import Row, timestamp
from wetread.connection import Connection
from wetread.erasure.subjects import Subject
from wetread.erasure.training import ErasingTraining, FoundTraining
from wetread.erasure.uploads import SETTLED_SECONDS, ErasingUploads, FoundUploads, is_free
from wetread.problems import Problem

POLL_SECONDS = 5.0
MOST_LOOKS = 20


@dataclass
class Found:
    """All data of a subject at one moment."""

    uploads: FoundUploads
    training: FoundTraining

    def counts(self) -> Counter[str]:
        """Return how many of each kind there are to erase."""
        return self.uploads.counts() + self.training.counts()

    @property
    def undecided(self) -> set[str]:
        """Return the keys of objects and documents whose subject cannot be read."""
        return self.uploads.undecided | self.training.undecided

    @property
    def runs(self) -> list[str]:
        """The training runs that used slices of the subject."""
        return sorted(one.run for one in self.training.runs)


@dataclass
class Erased:
    """The result of an erasure: how many of each kind were erased, and what it could not decide."""

    counts: Counter[str] = field(default_factory=Counter)
    runs: set[str] = field(default_factory=set)
    unclear: list[Row] = field(default_factory=list)
    unclear_entries: int = 0
    unsure_labels: set[str] = field(default_factory=set)
    undecided: set[str] = field(default_factory=set)
    under_way: set[str] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        """Whether nothing was left for a person to decide."""
        return not (self.unclear or self.unclear_entries or self.unsure_labels or self.undecided or self.under_way)


class Erasing:
    """Erases one subject from one cloud. Repeatable: a later call continues an interrupted erasure."""

    def __init__(
        self,
        connection: Connection,
        subject: Subject,
        *,
        settled_seconds: float = SETTLED_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._subject = subject
        self._uploads = ErasingUploads(connection, subject)
        self._training = ErasingTraining(connection, subject)
        self._erasures = Erasures(connection.dynamodb, connection.deployment.batches_table_name)
        self._connection = connection
        self._settled_seconds = settled_seconds
        self._sleep = sleep

    def find(self) -> Found:
        """Find all data, and change nothing."""
        return Found(self._uploads.find(), self._training.find())

    def erase(self, waiting: Callable[[list[Row]], None]) -> Erased:
        """Erase all data. ``waiting`` is called with the rows that a running job still reads.

        Data that no job reads is erased at once. Raises Problem when uploads keep coming.
        """
        done, record = Erased(), self._begin()
        looks = 0
        while looks < MOST_LOOKS:
            found = Found(self._uploads.find(self._is_free), self._training.find())
            done.unclear, done.unclear_entries = found.uploads.unclear, found.training.unclear
            done.undecided, done.under_way = found.undecided, found.training.under_way
            done.unsure_labels |= {one.version.key for one in found.training.labels if one.unsure}
            found.training.labels = [one for one in found.training.labels if one.lines]
            if not found.counts() and not found.uploads.held:
                if not done.under_way:
                    self._erasures.note(record.finished(timestamp(datetime.now(UTC)), done.counts, sorted(done.runs)))
                return done
            done.runs |= set(found.runs)
            self._erase_training(found.training, done)
            looks += self._erase_uploads(found.uploads, done, waiting)  # waiting does not count
            self._erasures.note(record.so_far(done.counts, sorted(done.runs)))
        raise Problem("Uploads of them keep coming.", "Stop their sender, then run the command again.")

    def _begin(self) -> Erasure:
        now = datetime.now(UTC)
        record = Erasure(
            erasure_id=f"{now:%Y%m%d%H%M%S}-{secrets.token_hex(4)}",
            kind=self._subject.kind,
            subject=self._subject.hash,
            erased_by=self._connection.caller_arn,
            began_at=timestamp(now),
        )
        self._erasures.note(record)
        return record

    def _erase_training(self, found: FoundTraining, done: Erased) -> None:
        counts = found.counts()
        if counts:
            self._training.erase(found)
            done.counts += counts

    def _is_free(self, row: Row) -> bool:
        return is_free(row, datetime.now(UTC), self._settled_seconds)

    def _erase_uploads(self, found: FoundUploads, done: Erased, waiting: Callable[[list[Row]], None]) -> bool:
        """Erase the uploads that no function works on; if there are none, wait a while and return False."""
        counts, now = found.counts(), datetime.now(UTC)
        if counts and not self._uploads.begin(found, now):
            return True
        if not counts or not self._uploads.is_settled(found, now, self._settled_seconds):
            waiting(found.held)
            self._sleep(POLL_SECONDS)
            return False
        self._uploads.erase(found, datetime.now(UTC))
        done.counts += counts
        return True
