"""Lambda's side of the express lane: an order is run late, twice or never, and its process may end at any call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from express.order import Order
from express.run import Reader, Running
from functions.domain import layout
from functions.domain.lane import RUN_SECONDS
from tests.fakes.world import World
from tests.simulation.actors import Actor, acting

Message = tuple[str, str]
"""To collect: a run's name, and the invocation that Lambda has given up, "" for a run that ended by itself."""


class Environments:
    """The invocations of one world's function.

    ``live`` has the uploads of each that reads them, ``began`` is whether one has begun since it was looked at.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.live: dict[Actor | None, list[str]] = {}
        self.messages: list[Message] = []
        self.began = False
        self._numbers = itertools.count()

    def reading(self) -> list[list[str]]:
        """Return the uploads of each invocation that reads now: one whose time is over will do nothing more."""
        return [members for actor, members in self.live.items() if actor is None or actor.ends_at > self.world.time]

    def invoke(self, document: dict[str, Any], read: Callable[[bytes], bytes | None]) -> None:
        """Run one invocation; if it ends in an error or with its process, Lambda sends its record."""
        actor, ends_at = acting(), self.world.time + timedelta(seconds=RUN_SECONDS)
        order = Order.of(document, f"request-{next(self._numbers)}")

        def seconds_left() -> float:
            return (ends_at - self.world.time).total_seconds()

        def reader_of(order: Order) -> Reader:
            manifest = self.world.manifest(order.job)
            self.began = True
            self.live[actor] = [layout.upload_of_instance(name) for name in manifest]
            return read

        running = Running(
            s3=self.world.clients["s3"],
            reader_of=reader_of,
            report=lambda job: self.messages.append((job, "")),
            clock=self.world.clock,
        )
        if actor:
            actor.ends_at = ends_at
        try:
            running.run(order, seconds_left)
        except BaseException:
            self.messages.append((order.job, order.invocation))
            raise
        finally:
            self.live.pop(actor, None)
