"""Runs a function over the messages of one SQS batch; those that failed, and only those, come again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.telemetry import logger


def process(event: Mapping[str, Any], handle: Callable[[str], object], workers: int = 1) -> dict[str, Any]:
    """Call ``handle`` with every message's body; return the partial batch response that names the failed messages.

    An exception fails its own message alone: after the queue's last try it is a dead letter, which raises an alarm.
    """
    records = event["Records"]

    def failed(record: Mapping[str, Any]) -> bool:
        try:
            handle(record["body"])
        except Exception as error:
            logger.error("message failed", extra={"message_id": record["messageId"], **_facts(error)})
            return True
        return False

    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(failed, records))
    failures = [record["messageId"] for record, bad in zip(records, outcomes, strict=True) if bad]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _facts(error: Exception) -> dict[str, Any]:
    """What may be logged of an error: its text may name an object's key, and with it a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    facts: dict[str, Any] = {
        "error": type(error).__name__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, ClientError):
        facts |= {"aws_error": error_code(error), "operation": error.operation_name}
    return facts
