"""Publishes the events of revisions: each at least once.

An event is written with its revision, in one transaction, as a separate item. The item is deleted after the bus has
taken the event. So a function that dies between the two publishes the event twice, and none is left out, also if the
study gets its next revision before.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.aws.bus import MOST_ENTRIES, Bus
from functions.aws.studies import Studies

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 60  # of a sweep, after which the rest is left to the next one


@dataclass(frozen=True)
class Announced:
    """The result of one round: how many events the bus took, and how many it refused."""

    published: int = 0
    failures: int = 0


@dataclass(frozen=True, kw_only=True)
class Announcing:
    """Publishes what waits in the studies table. Safe when it runs twice at once, or dies anywhere."""

    studies: Studies
    bus: Bus
    clock: Callable[[], datetime]

    def run(self) -> Announced:
        """Publish what waits, the oldest first; what the bus refuses waits for the next round."""
        until = self.clock() + timedelta(seconds=ANNOUNCE_SECONDS)
        published = failures = 0
        waiting = self.studies.unannounced()
        with ThreadPoolExecutor(MOST_ENTRIES) as pool:
            while self.clock() <= until and (some := list(itertools.islice(waiting, MOST_ENTRIES))):
                taken = self.bus.publish([one.event for one in some])
                done = [one for one, is_taken in zip(some, taken, strict=True) if is_taken]
                list(pool.map(lambda one: self.studies.forget(one.study_instance_uid, one.item), done))
                published += len(done)
                failures += len(some) - len(done)
        return Announced(published, failures)
