"""A world minute by minute, with uploads whose outputs raise errors or kill their reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from functions.domain import layout
from functions.domain.row import Row
from tests.fakes.dicom import ct
from tests.fakes.world import WORK, World, answer

RECEIVES = 5


VISIBILITY_MINUTES = 30


class Killed(BaseException):
    """Lambda kills the function: it needed more memory or time than it has."""


@dataclass
class Minutes:
    """A world, minute by minute: sweeps, ticks, ended jobs, and job events as their queue delivers them."""

    world: World
    container: Callable[[bytes], bytes | None] = answer
    events: list[tuple[int, int, str]] = field(default_factory=list)
    dead_letters: int = 0
    now: int = 0

    def run(self, minutes: int) -> None:
        """Until all rows have ended and no slot is held."""
        for _ in range(minutes):
            self.now += 1
            self.world.wait(60)
            self._deliver()
            if self.world.queue.sent:
                self.world.queue.sent.pop()
                self._survive(self.world.dispatching.run)
            self._survive(self.world.sweeping.run)
            for name in self.world.sagemaker.live():
                self.world.sagemaker.end(name, self.container)
                self.events.append((self.now + 1, 1, name))
            if all(row.status.terminal for row in self.world.rows()) and not self.world.batches.holders():
                break
        self.world.wait(VISIBILITY_MINUTES * 60)
        self.now += VISIBILITY_MINUTES
        self._deliver()

    def _deliver(self) -> None:
        for event in list(self.events):
            due, receives, name = event
            if due <= self.now:
                self.events.remove(event)
                if not self._survive(lambda name=name: self.world.collecting.collect(name)):  # type: ignore[misc]
                    if receives == RECEIVES:
                        self.dead_letters += 1
                    else:
                        self.events.append((self.now + VISIBILITY_MINUTES, receives + 1, name))

    def _survive(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except (Exception, Killed):
            return False
        return True


def arrived(count: int, **settings: int) -> tuple[World, list[str]]:
    """Return a world with a champion and pending uploads; their ids."""
    world = World(**settings)  # type: ignore[arg-type]
    world.set_champion()
    for number in range(count):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    return world, [row.upload_id for row in world.rows()]


def on_reading_outputs(world: World, uploads: set[str], error: Callable[[], BaseException]) -> None:
    """Let reading the output of any of ``uploads`` raise."""

    def reading(key: str) -> None:
        if layout.upload_of_output(key) in uploads:
            raise error()

    world.s3.reading = reading


def by_id(world: World) -> dict[str, Row]:
    return {row.upload_id: row for row in world.rows()}


def outputs(world: World) -> list[str]:
    return [key for bucket, key in world.s3.objects if bucket == WORK and key.startswith("outputs/")]
