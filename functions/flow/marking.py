"""Marks the results of withdrawn model versions as void."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from functions.aws.champion import Champions
from functions.aws.index import Index
from functions.aws.studies import Studies
from functions.domain.champion import Withdrawal
from functions.domain.row import Row, Status, moment_of
from functions.names import IndexName

WRITERS = 16  # rows marked at once
# A row that was completed just before its version was withdrawn may not be in the index's answer yet. After this time
# it is, and later results were marked by their collector.
SETTLED_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Marking:
    """Marks rows by conditional writes. Safe to repeat; a row that another version reads meanwhile stays unmarked."""

    index: Index
    champions: Champions
    studies: Studies
    clock: Callable[[], datetime]

    def results(self, model_package: str) -> Iterator[Row]:
        """Return every row that a version completed, newest first."""
        rows = self.index.find(IndexName.BY_MODEL, model_package)
        return (row for row in rows if row.status == Status.COMPLETED)

    def mark(self, model_package: str) -> int:
        """Mark this version's unmarked results and return how many; 0 if it is not withdrawn."""
        withdrawal = self.champions.withdrawal(model_package)
        return self.mark_rows(self.results(model_package), withdrawal) if withdrawal else 0

    def mark_rows(self, rows: Iterable[Row], withdrawal: Withdrawal) -> int:
        """Mark those of ``rows`` that the withdrawn version completed; return how many were not marked before.

        Then open the studies of all of them: a function may have died after it had marked some.
        """
        studies: set[str] = set()

        def mark(row: Row) -> bool:
            studies.add(row.study_instance_uid or "")
            if row.withdrawn_at:
                return False
            return self.index.mark_withdrawn(row.upload_id, withdrawal.model_package, withdrawal.withdrawn_at)

        completed = (row for row in rows if row.status == Status.COMPLETED)
        theirs = (row for row in completed if row.model_package == withdrawal.model_package)
        with ThreadPoolExecutor(WRITERS) as pool:
            marked = sum(pool.map(mark, theirs))
            list(pool.map(lambda study: self.studies.touch(study, self.clock()), sorted(studies - {""})))
        return marked

    def finish(self, now: datetime) -> int:
        """Mark missed results of versions that were withdrawn a while ago; return how many rows.

        A version that cannot be marked does not keep others from it: the first error is raised after all were tried.
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
