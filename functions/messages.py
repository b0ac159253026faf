"""Runs a function over the messages of one SQS batch; SQS delivers only the failed ones again.

Powertools has a batch processor too. Its BatchProcessingError prints the errors' texts, and these may have keys.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from functions.aws.trouble import loggable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One SQS message; ``delivery`` counts SQS's deliveries of it, this one included."""

    body: str
    delivery: int


def process(event: Mapping[str, Any], handle: Callable[[str], object], workers: int = 1) -> dict[str, Any]:
    """Call ``handle`` with every message's body; return the partial batch response that names the failed messages.

    An exception fails only its own message. After the queue's last try the message is a dead letter, with an alarm.
    """
    return process_messages(event, lambda message: handle(message.body), workers=workers)


def process_messages(
    event: Mapping[str, Any],
    handle: Callable[[Message], object],
    *,
    workers: int,
    seconds_left: Callable[[], float] = lambda: math.inf,
    seconds_needed: float = 0.0,
) -> dict[str, Any]:
    """Do as ``process``, with whole messages; begin none when fewer than ``seconds_needed`` are left.

    A message that was not begun counts as failed, so SQS delivers it again. The others are answered before the timeout.
    """
    records = event["Records"]

    def failed(record: Mapping[str, Any]) -> bool:
        if seconds_left() < seconds_needed:
            logger.warning("message not begun: time is short", extra={"message_id": record["messageId"]})
            return True
        try:
            handle(Message(record["body"], _delivery(record)))
        except Exception as error:
            logger.error("message failed", extra={"message_id": record["messageId"], **loggable(error)})
            return True
        return False

    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(failed, records))
    failures = [record["messageId"] for record, bad in zip(records, outcomes, strict=True) if bad]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _delivery(record: Mapping[str, Any]) -> int:
    """Return SQS's count, which is text; 1 if it is absent.

    SQS documents that it counts across queues. A message that was moved from another queue was delivered there too.
    """
    attributes = record.get("attributes", {})
    given_before = "DeadLetterQueueSourceArn" in attributes
    return max(int(attributes.get("ApproximateReceiveCount", "1")), 1 + given_before)


def seconds_left_of(context: Any) -> Callable[[], float]:
    """Return a function that returns the seconds left of an invocation; infinity without a context."""
    if context is None:
        return lambda: math.inf
    return lambda: context.get_remaining_time_in_millis() / 1000
