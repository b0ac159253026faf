"""Withdraws a model version: its predecessor is champion again, its results are marked and can be rescored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from functions.aws.batches import Batches
from functions.aws.champion import Champions
from functions.aws.index import Index
from functions.aws.registry import Registry
from functions.aws.studies import Studies
from functions.aws.ticks import Ticks
from functions.domain.against import Standing
from functions.domain.batch import Batch, BatchStatus
from functions.domain.champion import Champion, Withdrawal
from functions.domain.errors import PromotionRefused
from functions.domain.row import Row, timestamp
from functions.flow.marking import Marking
from functions.flow.rescoring import Rescored, Rescoring


@dataclass(frozen=True, kw_only=True)
class Withdrawing:
    """Rolls back. Every step is safe to repeat."""

    index: Index
    batches: Batches
    champions: Champions
    registry: Registry
    studies: Studies
    rescoring: Rescoring
    ticks: Ticks
    clock: Callable[[], datetime]

    def roll_back(self, reason: str) -> Champion:
        """Withdraw the champion, make its predecessor champion, and return the predecessor.

        From then on every result of the withdrawn version is marked when it is collected; ``mark`` marks the earlier
        ones. Raises PromotionRefused if there is no predecessor, or another promotion came between.
        """
        current = self.champions.get()
        if current is None or not current.previous:
            state = f"{current.model_package} is the first champion" if current else "There is no champion"
            raise PromotionRefused(f"{state}, so there is none to go back to. `wetread model promote` takes any.")
        version = self.registry.version(current.previous)
        before = self._before(version.model_package, current.model_package)
        champion = self.registry.candidate(version, before, self._standing(version.model_package))
        # The rejection moves no traffic. It is recorded first, so it exists whenever the pointer has moved.
        self.registry.reject(current.model_package_arn, reason)
        withdrawal = Withdrawal(
            model_package=current.model_package,
            withdrawn_at=champion.promoted_at,
            withdrawn_by=champion.promoted_by,
            reason=reason,
        )
        if not self.champions.move(champion, current, withdrawal):
            raise PromotionRefused("Another promotion came between; look at `wetread model list` before you continue.")
        self.registry.after_promotion(version)
        return champion

    def results(self, model_package: str) -> Iterator[Row]:
        """Return every row that a version completed, newest first."""
        return self._marking.results(model_package)

    def mark(self, model_package: str) -> int:
        """Mark the results of a withdrawn version that are not marked yet; return how many."""
        return self._marking.mark(model_package)

    def running(self, model_package: str) -> list[Batch]:
        """Return the unfinished batches that still use a version: collecting will mark their results."""
        batches = (self.batches.get(batch_id) for batch_id in self.batches.holders().values())
        return [
            batch
            for batch in batches
            if batch and batch.model_package == model_package and batch.status != BatchStatus.COLLECTED
        ]

    def rescore(self, row: Row) -> Rescored:
        """Requeue a completed upload for the present champion, and open its study; call ``wake`` after the last one."""
        rescored = self.rescoring.rescore(row)
        if rescored == Rescored.REQUEUED and row.study_instance_uid:
            self.studies.touch(row.study_instance_uid, self.clock())
        return rescored

    def note_rescoring(self, model_package: str) -> None:
        """Record on the version's withdrawal who sends its uploads to be read again."""
        self.champions.note_rescoring(model_package, timestamp(self.clock()), self.registry.caller())

    def wake(self) -> None:
        """Wake dispatch for the requeued uploads."""
        self.ticks.send(self.clock())

    @property
    def _marking(self) -> Marking:
        return Marking(index=self.index, champions=self.champions, studies=self.studies, clock=self.clock)

    def _standing(self, model_package: str) -> Standing:
        """Return what a version was compared with when it last became champion."""
        promotion = self.champions.promotion(model_package)
        return Standing(reference=promotion.reference, behind=promotion.behind) if promotion else Standing()

    def _before(self, model_package: str, withdrawn: str) -> str:
        """Return the last champion before ``model_package`` that is not withdrawn, from the history; "" if none is."""
        seen = {model_package, withdrawn}
        promotion = self.champions.promotion(model_package)
        while promotion and promotion.previous and promotion.previous not in seen:
            if self.champions.withdrawal(promotion.previous) is None:
                return promotion.previous
            seen.add(promotion.previous)
            promotion = self.champions.promotion(promotion.previous)
        return ""
