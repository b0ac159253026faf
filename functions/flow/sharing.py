"""Shares the closing of studies out when more are due than one invocation closes in time: by shards of the open ones.

Whatever two invocations do to one study, the conditions of its writes let one of them close it. A share that is lost is
due again in the next sweep.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from functions.aws.closers import Closers
from functions.aws.shards import dealt
from functions.aws.trouble import loggable
from functions.domain.study import SWEEP_SECONDS
from functions.flow.concluding import Concluded, Concluding

logger = logging.getLogger(__name__)

DUE_EACH = 100  # studies; more of them, and one more invocation closes: of 100 slices each they take some 20 s


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Closes studies in up to ``most`` invocations at once, the present one included."""

    concluding: Concluding
    closers: Closers
    most: int

    def run(self) -> Concluded:
        """Close what is due: all of it here while it is little, else a share, and the others elsewhere.

        After a share that Lambda does not take, no other is offered: each might wait for an answer, and the studies
        with it.
        """
        waiting = self.concluding.waiting()
        due = sum(map(self.concluding.is_due, waiting))
        shares = dealt(max(1, min(self.most, math.ceil(due / DUE_EACH))))
        # Each sweep keeps another one: it closes all of them in turn even where Lambda drops whatever is offered.
        turn = int(self.concluding.clock().timestamp() // SWEEP_SECONDS) % len(shares)
        own = shares.pop(turn)
        while shares and self._start(shares[-1]):
            shares.pop()
        concluded = self.concluding.look_at(waiting, own.union(*shares))
        return replace(concluded, failures=concluded.failures + len(shares))

    def _start(self, share: Collection[int]) -> bool:
        """Start an invocation for a share; return False if that failed: the share is then closed here."""
        try:
            self.closers.start(share)
        except Exception as error:
            logger.error("closer not started", extra=loggable(error))
            return False
        return True
