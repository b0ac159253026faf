"""Runs a function over the messages of one SQS batch; those that failed, and only those, come again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from functions.telemetry import facts, logger


def process(event: Mapping[str, Any], handle: Callable[[str], object], workers: int = 1) -> dict[str, Any]:
    """Call ``handle`` with every message's body; return the partial batch response that names the failed messages.

    An exception fails its own message alone: after the queue's last try it is a dead letter, which raises an alarm.
    """
    records = event["Records"]

    def failed(record: Mapping[str, Any]) -> bool:
        try:
            handle(record["body"])
        except Exception as error:
            logger.error("message failed", extra={"message_id": record["messageId"], **facts(error)})
            return True
        return False

    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(failed, records))
    failures = [record["messageId"] for record, bad in zip(records, outcomes, strict=True) if bad]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
