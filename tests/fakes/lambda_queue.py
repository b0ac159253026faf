"""SQS and Lambda in virtual time: batches, their limits of CPU time and memory, kills, redelivery, dead letters.

The cost of reading an object is given with it. An invocation with messages that cost more than the function has is
killed at that point: nothing it does afterwards counts, and all of its messages are delivered again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.world import UPLOADS, World
from tests.simulation.actors import Crash


@dataclass(frozen=True)
class Cost:
    """The cost of reading one object: seconds of the function's CPU share, and MiB."""

    seconds: float = 0.01
    mebibytes: float = 1.0


@dataclass(frozen=True)
class Limits:
    """The function and its queues, as deployed."""

    batch_size: int
    workers: int
    seconds: float
    mebibytes: float
    start_mebibytes: float
    visibility: float
    retries: int


@dataclass
class _Message:
    number: int
    body: str
    visible_at: float = 0.0
    deliveries: int = 0
    retried: bool = False


@dataclass
class LambdaQueue:
    """The uploads queue, the queue for retries, and one function that reads both."""

    world: World
    limits: Limits
    handler: Callable[[Any, Any], Any]
    costs: dict[str, Cost] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    kills: int = 0
    now: float = 0.0
    _messages: list[_Message] = field(default_factory=list)
    _used: float = 0.0
    _killed: bool = False
    _largest: float = 0.0

    def __post_init__(self) -> None:
        for client in self.world.clients.values():
            client.interfere = self._interfere
        self._get_object = self.world.s3.get_object
        self.world.s3.get_object = self._costly  # type: ignore[method-assign]

    def upload(self, key: str, body: bytes, cost: Cost | None = None) -> None:
        """Put an object with this cost, and queue its event."""
        event = self.world.upload(key, body)
        self.costs[key] = cost or Cost()
        s3_object = {"key": key, "size": event.size, "version-id": event.version_id, "sequencer": "01"}
        detail = {"bucket": {"name": UPLOADS}, "object": s3_object}
        self._messages.append(_Message(len(self._messages), json.dumps({"time": event.time, "detail": detail})))

    def run(self, seconds: float) -> None:
        """Deliver what becomes visible within this many seconds. Functions run beside each other: none waits."""
        end = self.now + seconds
        while self._messages:
            visible_at = min(message.visible_at for message in self._messages)
            if visible_at > end:
                break
            self.world.wait(max(0.0, visible_at - self.now))
            self.now = max(self.now, visible_at)
            self._move()
            due = [message for message in self._messages if message.visible_at <= self.now]
            fresh = [message for message in due if not message.retried]
            size = self.limits.batch_size
            batches = [fresh[at : at + size] for at in range(0, len(fresh), size)]
            for batch in batches + [[message] for message in due if message.retried]:
                self._invoke(batch)
        self.world.wait(max(0.0, end - self.now))
        self.now = end

    def _move(self) -> None:
        """Move messages that were delivered too often, as SQS does."""
        for message in list(self._messages):
            if message.visible_at <= self.now and message.deliveries and not message.retried:
                message.retried = True
            elif message.visible_at <= self.now and message.deliveries > self.limits.retries:
                self._messages.remove(message)
                self.dead.append(message.body)

    def _invoke(self, batch: list[_Message]) -> None:
        self._used, self._killed = 0.0, False
        sizes = sorted((self.costs[_key(message)].mebibytes for message in batch), reverse=True)
        self._largest = self.limits.start_mebibytes + sum(sizes[: self.limits.workers])
        for message in batch:
            message.deliveries += 1
            message.visible_at = self.now + self.limits.visibility
        records = [
            {
                "messageId": str(message.number),
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.deliveries)},
            }
            for message in batch
        ]
        try:
            response = self.handler({"Records": records}, self)
        except Crash:
            self.kills += 1
            return
        failed = {one["itemIdentifier"] for one in response["batchItemFailures"]}
        self._messages = [one for one in self._messages if one not in batch or str(one.number) in failed]

    def get_remaining_time_in_millis(self) -> int:
        """This is the function's context too."""
        return int(1000 * (self.limits.seconds - self._used))

    def _interfere(self, _operation: str, when: str) -> None:
        if self._killed and when == "before":
            raise Crash

    def _costly(self, **request: Any) -> Any:
        cost = self.costs.get(request["Key"], Cost())
        self._used += cost.seconds
        if self._used > self.limits.seconds or (cost.mebibytes > 1 and self._largest > self.limits.mebibytes):
            self._killed = True
            raise Crash
        return self._get_object(**request)


def _key(message: _Message) -> str:
    key: str = json.loads(message.body)["detail"]["object"]["key"]
    return key
