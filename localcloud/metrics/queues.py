"""AWS/SQS: how many messages of each queue are visible, and how old the oldest is. The emulator measures neither."""

from __future__ import annotations

import time
from typing import Any

from localcloud.metrics.points import record
from localcloud.patches.seam import emulator

NAMESPACE = "AWS/SQS"


class QueueMetrics:
    """Measures all queues when asked to."""

    def __init__(self) -> None:
        self._sqs = emulator("services.sqs", "_queues", "_queues_lock", "_expire_retained")
        self._active: set[str] = set()

    def measure(self) -> None:
        """Put the present values; a queue that stays empty gets none, as SQS sends none of an inactive queue."""
        active = set()
        for queue in self._sqs._queues.values():
            name = queue["attributes"]["QueueArn"].rsplit(":", 1)[-1]
            visible, age = self._look(queue)
            if visible or age:
                active.add(name)
            if name in active | self._active:
                dimensions = {"QueueName": name}
                record(NAMESPACE, "ApproximateNumberOfMessagesVisible", visible, "Count", dimensions)
                record(NAMESPACE, "ApproximateAgeOfOldestMessage", age, "Seconds", dimensions)
        self._active = active

    def _look(self, queue: dict[str, Any]) -> tuple[int, float]:
        """Messages that could be received now, and the age of the oldest, whoever has received it."""
        now = time.time()
        with self._sqs._queues_lock:
            self._sqs._expire_retained(queue)  # else nobody would do it where no function reads: of dead letters
            messages = list(queue["messages"])
        visible = sum(message["visible_at"] <= now for message in messages)
        oldest = min((message.get("enqueued_at") or message["sent_at"] for message in messages), default=now)
        return visible, max(0.0, now - oldest)
