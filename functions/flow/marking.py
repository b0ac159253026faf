"""Marks the results of withdrawn model versions, so that nobody takes one for a result that counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from functions.aws.champion import Champions, Withdrawal
from functions.aws.index import Index
from functions.domain.row import Row, Status, moment_of
from functions.names import IndexName

WRITERS = 16  # rows marked at once
# A row that was completed just before its version was withdrawn may not be in the index's answer yet. After so long
# it is, and what was completed later was marked by whoever collected it.
SETTLED_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Marking:
    """Marks rows, conditionally and repeatably: a row that another version reads meanwhile stays unmarked."""

    index: Index
    champions: Champions

    def results(self, model_package: str) -> Iterator[Row]:
        """Every row that a version completed, newest first."""
        rows = self.index.every(IndexName.BY_MODEL, model_package)
        return (row for row in rows if row.status == Status.COMPLETED)

    def mark(self, model_package: str) -> int:
        """Mark the results of a withdrawn version that are not marked yet; return how many. None for another one."""
        withdrawal = self.champions.withdrawal(model_package)
        return self.mark_rows(self.results(model_package), withdrawal) if withdrawal else 0

    def mark_rows(self, rows: Iterable[Row], withdrawal: Withdrawal) -> int:
        """Mark those of ``rows`` that the withdrawn version completed; return how many were not marked before."""

        def mark(row: Row) -> bool:
            return self.index.mark_withdrawn(row.upload_id, withdrawal.model_package, withdrawal.withdrawn_at)

        unmarked = (row for row in rows if row.status == Status.COMPLETED and not row.withdrawn_at)
        with ThreadPoolExecutor(WRITERS) as pool:
            return sum(pool.map(mark, unmarked))

    def finish(self, now: datetime) -> int:
        """Mark what was missed of the versions that were withdrawn a while ago; return how many rows.

        A version that cannot be marked keeps no other from it: the first error is raised once all were tried.
        """
        marked, errors = 0, []
        for model_package in self.champions.unmarked():
            try:
                marked += self._finish(model_package, now)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return marked

    def _finish(self, model_package: str, now: datetime) -> int:
        withdrawal = self.champions.withdrawal(model_package)
        if withdrawal and (now - moment_of(withdrawal.withdrawn_at)).total_seconds() < SETTLED_SECONDS:
            return 0
        marked = self.mark(model_package)
        self.champions.all_marked(model_package)
        return marked
