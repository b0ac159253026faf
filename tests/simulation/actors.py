"""One Lambda invocation as a coroutine that yields its turn before and after each AWS call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import greenlet


class Crash(BaseException):
    """A Lambda environment dies between two instructions."""


class Actor(greenlet.greenlet):
    """One invocation of ``work``, advanced one AWS call at a time; its clock is off by ``skew``."""

    def __init__(self, work: Callable[[], object], skew: timedelta = timedelta()) -> None:
        super().__init__(self._run)
        self._work = work
        self.skew = skew
        self.wakes_at = datetime.min.replace(tzinfo=UTC)
        self.ends_at = datetime.max.replace(tzinfo=UTC)  # Lambda ends it then
        self.dies = False
        self.finished = False
        self.error: Exception | None = None

    def _run(self) -> None:
        try:
            self._work()
        except Crash:
            pass
        except Exception as error:
            self.error = error
        self.finished = True

    def step(self) -> None:
        """Run until before or after the next AWS call, or to the end."""
        self.switch()

    def pause(self) -> None:
        """Yield the turn; die here if the schedule says so."""
        self.parent.switch()
        if self.dies:
            raise Crash


def acting() -> Actor | None:
    """Return the invocation that has the turn; None outside of all."""
    current = greenlet.getcurrent()
    return current if isinstance(current, Actor) else None


def skew() -> timedelta:
    """Return how far the calling invocation's clock is off; zero outside of invocations."""
    actor = acting()
    return actor.skew if actor else timedelta()


class SerialPool:
    """In place of a thread pool: an actor must be one thread to have one turn."""

    def __init__(self, _workers: int) -> None: ...

    def __enter__(self) -> SerialPool:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return map(function, items)


@contextmanager
def in_turns(rng: random.Random) -> Iterator[None]:
    """Run the functions in one thread, without waiting, in small chunks: more steps, more chances to be overtaken.

    In some schedules a row is HeldUp early.
    """
    with ExitStack() as changed:
        for name, value in (
            ("express.run.ThreadPoolExecutor", SerialPool),
            ("functions.domain.lane.LEAST", 2),
            ("functions.aws.ordered.ThreadPoolExecutor", SerialPool),
            ("functions.aws.shards.SHARDS", 2),
            ("functions.flow.collecting.ThreadPoolExecutor", SerialPool),
            ("functions.flow.concluding.ThreadPoolExecutor", SerialPool),
            ("functions.flow.sharing.DUE_EACH", 1),
            ("functions.flow.marking.ThreadPoolExecutor", SerialPool),
            ("wetread.erasure.studies.ThreadPoolExecutor", SerialPool),
            ("wetread.erasure.uploads.ThreadPoolExecutor", SerialPool),
            ("functions.aws.batches.time.sleep", lambda _seconds: None),
            ("functions.flow.collecting.CHUNK", 3),
            ("functions.aws.studies.MOST_MEMBERS_OF_A_PAGE", 3),
            ("functions.flow.concluding.MOST_AT_ONCE", 2),
            ("functions.flow.ingesting.LAST_DELIVERY", rng.choice([1, 2, 50])),
            ("functions.flow.stalling.STALLED_SECONDS", 120),
            ("functions.aws.batches.CLAIM_CHUNK", 2),
            ("functions.aws.batches.MOST_SLOTS", 6),
            ("functions.flow.dispatching.secrets.token_hex", lambda size: rng.randbytes(size).hex()),
        ):
            changed.enter_context(patch(name, value))
        yield
