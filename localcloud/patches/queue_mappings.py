"""SQS event source mappings keep their batch size and window, wake on time, and do not outrun the environments.

The emulator caps a batch at 10, ignores the window, looks for delayed messages once a second, and would start five
Lambda environments for each queue on a machine of two cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_FIFO_BATCH = 10


class Alarm:
    """Calls `ring` at the earliest of the times asked for, without polling."""

    def __init__(self, ring: Callable[[], None]):
        self._ring = ring
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._when = float("inf")

    def at(self, when: float) -> None:
        """Ring at the epoch second `when`, unless that happens earlier anyway."""
        with self._lock:
            if when >= self._when:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._when = when
            self._timer = threading.Timer(max(0.0, when - time.time()) + 0.002, self._fire)
            self._timer.daemon = True
            self._timer.start()

    def _fire(self) -> None:
        with self._lock:
            self._when = float("inf")
        self._ring()


def install(concurrency: int) -> None:
    """Replace the poller's receive; no mapping has more than `concurrency` batches in flight."""
    emulator("services.lambda_svc", "_esms", "_poll_sqs")
    emulator("services.sqs", "_get_q", "_expire_retained", "_dlq_sweep", "_collect_msgs", "_queues_lock", "esm_wake")
    replace("services.sqs", "_receive_messages_for_esm", ("queue_url", "max_number"), _receive)
    replace(
        "services.lambda_svc",
        "_sqs_esm_concurrency",
        ("esm", "func_rec", "config", "queue"),
        lambda original: lambda *arguments: min(original(*arguments), concurrency),
    )


def _receive(_original: Callable[..., Any]) -> Callable[..., Any]:
    sqs = emulator("services.sqs")
    alarm = Alarm(sqs.esm_wake.set)

    def receive_messages_for_esm(queue_url: str, max_number: int) -> list[dict[str, Any]]:
        with sqs._queues_lock:
            queue = sqs._get_q(queue_url)
            sqs._expire_retained(queue)
            sqs._dlq_sweep(queue)
            size = min(max_number, _FIFO_BATCH) if queue["is_fifo"] else max_number
            due = _due(queue["messages"], size, _window(queue))
            if due > time.time():
                alarm.at(due)
                return []
            messages: list[dict[str, Any]] = sqs._collect_msgs(
                queue, size, int(queue["attributes"].get("VisibilityTimeout", "30"))
            )
            return messages

    return receive_messages_for_esm


def _due(messages: list[dict[str, Any]], size: int, window: float) -> float:
    """The epoch second at which a batch is full or its window over; infinite for an empty queue."""
    visible_at = sorted(message["visible_at"] for message in list(messages))
    if not visible_at:
        return float("inf")
    full = visible_at[size - 1] if len(visible_at) >= size else float("inf")
    return float(min(full, visible_at[0] + window))


def _window(queue: dict[str, Any]) -> float:
    """The batching window, in seconds, of the mapping that reads this queue."""
    arn = queue["attributes"]["QueueArn"]
    for mapping in emulator("services.lambda_svc")._esms.values():
        if mapping["EventSourceArn"] == arn:
            return float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    return 0.0
