"""Rescore a withdrawn version: requeue the uploads of all its results, for the champion to read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from functions.domain.row import Row
from functions.flow.rescoring import Rescored
from functions.flow.withdrawing import Withdrawing
from wetread.console import Bar, how_many
from wetread.parallel import each
from wetread.problems import Interruption, Problem

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Rescoring:
    """The result: how many results of each kind, and the first error of those that could not be requeued."""

    counts: Counter[Rescored]
    failed: int
    first_error: str

    @property
    def whole(self) -> bool:
        """Whether every upload was requeued."""
        return not self.failed and not self.counts[Rescored.GONE]


def rescore(withdrawing: Withdrawing, model_package: str) -> Rescoring:
    """Requeue every result of a withdrawn version, with progress bars; repeatable.

    First waits for the batches that still use it. Raises Problem for a version that is not withdrawn, and Interruption
    when a person presses Ctrl-C.
    """
    if withdrawing.champions.withdrawal(model_package) is None:
        raise Problem(f"{model_package} is not withdrawn.", "`wetread model rollback` withdraws the champion.")
    try:
        _wait_for_batches(withdrawing, model_package)
        withdrawing.note_rescoring(model_package)
        return _requeue(withdrawing, model_package)
    except KeyboardInterrupt:
        raise Interruption(
            f"What was requeued is read again; `wetread model rescore {model_package}` continues with the rest."
        ) from None


def _wait_for_batches(withdrawing: Withdrawing, model_package: str) -> None:
    with Bar(f"Waiting for batches that use {model_package}", None) as bar:
        while running := withdrawing.running(model_package):
            bar.show(f"Waiting for {how_many(len(running), 'batch job')} with {model_package}")
            time.sleep(POLL_SECONDS)


def _requeue(withdrawing: Withdrawing, model_package: str) -> Rescoring:
    counts: Counter[Rescored] = Counter()
    errors: list[str] = []
    try:
        for rows in _unseen(withdrawing, model_package):
            with Bar("Requeueing", len(rows)) as bar:
                done, failed = each(withdrawing.rescore, rows, bar.advance)
            counts.update(rescored for _, rescored in done)
            errors += [reason for _, reason in failed]
    finally:
        withdrawing.wake()
    return Rescoring(counts, len(errors), errors[0] if errors else "")


def _unseen(withdrawing: Withdrawing, model_package: str) -> Iterator[list[Row]]:
    """Yield the version's results, then those that the lagging index had not shown before."""
    seen: set[str] = set()
    while rows := [row for row in withdrawing.results(model_package) if row.upload_id not in seen]:
        seen |= {row.upload_id for row in rows}
        yield rows
