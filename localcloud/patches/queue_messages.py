"""No queue loses a message: the emulator replaces a queue's list of messages while other threads append to the old one.

Messages arrive on the event loop and on event threads, and are taken off by the poller's thread. Here every removal
takes the message out of the one list that there is, under one lock.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

Queue = dict[str, Any]
Message = dict[str, Any]
_lock = threading.RLock()


def install() -> None:
    """Replace whatever removes messages."""
    sqs = emulator(
        "services.sqs",
        "_HANDLERS",
        "_Err",
        "_get_q",
        "_validate_batch_entries",
        "_queue_by_arn",
        "_queues_lock",
        "esm_wake",
    )
    sqs._queues_lock = _lock
    replace("services.sqs", "_expire_retained", ("q",), _expire)
    replace("services.sqs", "_dlq_sweep", ("q",), _move_to_dead_letter_queue)
    replace("services.sqs", "_collect_msgs", ("q", "max_n", "vis_timeout"), _locked)
    replace("services.sqs", "_delete_messages_for_esm", ("queue_url", "receipt_handles"), _delete_many)
    replace("services.sqs", "_act_delete_message", ("data", "qurl"), _delete_one)
    replace("services.sqs", "_act_delete_message_batch", ("data", "qurl"), _delete_batch)
    sqs._HANDLERS["DeleteMessage"] = sqs._act_delete_message
    sqs._HANDLERS["DeleteMessageBatch"] = sqs._act_delete_message_batch


def remove(queue: Queue, doomed: Callable[[Message], bool]) -> list[Message]:
    """Take all messages that are `doomed` out of the queue and return them."""
    with _lock:
        messages: list[Message] = queue["messages"]
        removed = [message for message in list(messages) if doomed(message)]
        for message in removed:
            messages.remove(message)
        return removed


def _received_as(handle: str | None) -> Callable[[Message], bool]:
    return lambda message: handle is not None and message.get("receipt_handle") == handle


def _locked(original: Callable[..., Any]) -> Callable[..., Any]:
    def collect_messages(q: Queue, max_n: int, vis_timeout: int) -> Any:
        with _lock:
            return original(q, max_n, vis_timeout)

    return collect_messages


def _expire(_original: Callable[..., Any]) -> Callable[..., Any]:
    def expire_retained(q: Queue) -> None:
        kept_since = time.time() - int(q["attributes"].get("MessageRetentionPeriod", "345600"))

        def expired(message: Message) -> bool:
            entered = message.get("enqueued_at") or message.get("sent_at")
            return entered is not None and float(entered) < kept_since

        remove(q, expired)

    return expire_retained


def _move_to_dead_letter_queue(_original: Callable[..., Any]) -> Callable[..., Any]:
    sqs = emulator("services.sqs")

    def dlq_sweep(q: Queue) -> None:
        policy = json.loads(q["attributes"].get("RedrivePolicy") or "{}")
        dead_letters = sqs._queue_by_arn(policy["deadLetterTargetArn"]) if "deadLetterTargetArn" in policy else None
        if dead_letters is None:
            return
        now = time.time()
        tries = int(policy["maxReceiveCount"])
        for message in remove(q, lambda m: m["receive_count"] >= tries and m["visible_at"] <= now):
            system = {"DeadLetterQueueSourceArn": q["attributes"]["QueueArn"], **message.get("sys", {})}
            moved = {**message, "receipt_handle": None, "visible_at": now, "sys": system}
            if dead_letters.get("is_fifo"):
                moved["enqueued_at"] = now  # "For FIFO queues, the enqueue timestamp resets"
            dead_letters["messages"].append(moved)
            sqs.esm_wake.set()

    return dlq_sweep


def _delete_many(_original: Callable[..., Any]) -> Callable[..., Any]:
    sqs = emulator("services.sqs")

    def delete_messages_for_esm(queue_url: str, receipt_handles: set[str]) -> None:
        remove(sqs._get_q(queue_url), lambda message: message.get("receipt_handle") in receipt_handles)

    return delete_messages_for_esm


def _delete_one(_original: Callable[..., Any]) -> Callable[..., Any]:
    sqs = emulator("services.sqs")

    def act_delete_message(data: dict[str, Any], qurl: str) -> dict[str, Any]:
        queue = sqs._get_q(data.get("QueueUrl", qurl), "sqs:DeleteMessage")
        handle = data.get("ReceiptHandle", "")
        if not handle:
            raise sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
        if not remove(queue, _received_as(handle)):
            raise sqs._Err("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return {}

    return act_delete_message


def _delete_batch(_original: Callable[..., Any]) -> Callable[..., Any]:
    sqs = emulator("services.sqs")

    def act_delete_message_batch(data: dict[str, Any], qurl: str) -> dict[str, Any]:
        queue = sqs._get_q(data.get("QueueUrl", qurl), "sqs:DeleteMessage")
        sqs._validate_batch_entries(data.get("Entries", []), "DeleteMessageBatchRequestEntry")
        answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in data["Entries"]:
            if remove(queue, _received_as(entry.get("ReceiptHandle"))):
                answer["Successful"].append({"Id": entry["Id"]})
            else:
                reason = {"Code": "ReceiptHandleIsInvalid", "Message": "The input receipt handle is invalid."}
                answer["Failed"].append({"Id": entry["Id"], "SenderFault": True, **reason})
        return answer

    return act_delete_message_batch
