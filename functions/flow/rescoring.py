"""Reads uploads again: their objects are copied to where jobs read them, and their rows wait for the champion."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from functions.aws.index import Index
from functions.aws.keys import HIDDEN, HiddenKeys
from functions.aws.objects import Uploads
from functions.domain import layout
from functions.domain.errors import Refusal
from functions.domain.row import Row, Status, timestamp


class Rescored(enum.StrEnum):
    """The result of a request to read an upload again."""

    REQUEUED = "Requeued"
    GONE = "Gone"
    CHANGED = "Changed"


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """Requeues completed uploads. ``uploads`` pins their bytes again."""

    index: Index
    uploads: Uploads
    clock: Callable[[], datetime]
    keys: HiddenKeys | None = None  # where the stage hides keys

    def rescore(self, row: Row) -> Rescored:
        """Requeue a completed upload for the present champion; its result document stays.

        Returns CHANGED if the row has changed since ``row`` was read, GONE (and leaves the row) if the object version
        was deleted.
        """
        if row.status != Status.COMPLETED:
            return Rescored.CHANGED
        now = timestamp(self.clock())
        # Bytes first: a pending row must have a copy for its job. And a separate copy, which no late collector of the
        # row's earlier job deletes.
        try:
            self.uploads.pin(self._key(row), row.version_id, layout.instance_name(row.upload_id, now))
        except Refusal:
            return Rescored.GONE
        if self.index.rescore(row, now):
            return Rescored.REQUEUED
        current = self.index.get(row.upload_id)
        if current and current.status == Status.ERASED:  # meanwhile, and perhaps before the copy existed
            self.uploads.unpin(layout.instance_name(row.upload_id, now))
        return Rescored.CHANGED

    def _key(self, row: Row) -> str:
        """Return the key of a row's object, also if the row hides it."""
        if self.keys is None or not row.key.startswith(HIDDEN):
            return row.key
        return self.keys.reveal([row.upload_id]).get(row.upload_id, row.key)
