"""StartMessageMoveTask, which the emulator lacks: what died is sent again, once the reason is mended."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from localcloud.patches.queue_messages import remove
from localcloud.patches.seam import emulator

_finished: list[dict[str, Any]] = []


def install() -> None:
    """Add the two operations."""
    sqs = emulator("services.sqs", "_HANDLERS", "_Err", "_queue_by_arn", "_queues", "esm_wake")
    sqs._HANDLERS["StartMessageMoveTask"] = _start
    sqs._HANDLERS["ListMessageMoveTasks"] = _list


def _start(data: dict[str, Any], _queue_url: str) -> dict[str, Any]:
    sqs = emulator("services.sqs")
    source = sqs._queue_by_arn(data["SourceArn"])
    destination = sqs._queue_by_arn(data.get("DestinationArn") or _redriven_from(data["SourceArn"]))
    if source is None or destination is None:
        raise sqs._Err(
            "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist."
        )
    moved = remove(source, lambda _message: True)
    for message in moved:
        destination["messages"].append(
            {**message, "receive_count": 0, "receipt_handle": None, "visible_at": time.time()}
        )
    sqs.esm_wake.set()
    task = {
        "Status": "COMPLETED",
        "SourceArn": data["SourceArn"],
        "ApproximateNumberOfMessagesMoved": len(moved),
        "StartedTimestamp": int(time.time() * 1000),
    }
    _finished.append(task)
    return {"TaskHandle": uuid.uuid4().hex}


def _redriven_from(dead_letter_arn: str) -> str:
    """The queue whose redrive policy names this dead-letter queue; empty if there is none."""
    for queue in list(emulator("services.sqs")._queues.values()):
        policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        if policy.get("deadLetterTargetArn") == dead_letter_arn:
            return str(queue["attributes"]["QueueArn"])
    return ""


def _list(data: dict[str, Any], _queue_url: str) -> dict[str, Any]:
    newest_first = [task for task in reversed(_finished) if task["SourceArn"] == data["SourceArn"]]
    return {"Results": newest_first[: int(data.get("MaxResults", 1))]}
