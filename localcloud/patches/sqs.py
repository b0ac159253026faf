"""SQS: no message is lost, dead letters can be moved back, and event source mappings keep batch size and window."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

Queue = dict[str, Any]
Message = dict[str, Any]
_removing = threading.RLock()
_finished_moves: list[dict[str, Any]] = []
_FIFO_BATCH = 10


def install(concurrency: int) -> None:
    """Install the patches of this service."""
    install_removals()
    install_redrive()
    install_mappings(concurrency)


def install_removals() -> None:
    """Replace every function that removes messages.

    Messages arrive on the event loop and on event threads, and the poller's thread takes them off. The emulator
    replaces a queue's list while other threads append to the old one, and so loses messages. Here every removal takes
    the message out of the one list that there is, under one lock.
    """
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
    sqs._queues_lock = _removing
    replace("services.sqs", "_expire_retained", ("q",), _expire)
    replace("services.sqs", "_dlq_sweep", ("q",), _move_to_dead_letter_queue)
    replace("services.sqs", "_collect_msgs", ("q", "max_n", "vis_timeout"), _under_lock)
    replace("services.sqs", "_delete_messages_for_esm", ("queue_url", "receipt_handles"), _delete_many)
    replace("services.sqs", "_act_delete_message", ("data", "qurl"), _delete_one)
    replace("services.sqs", "_act_delete_message_batch", ("data", "qurl"), _delete_batch)
    sqs._HANDLERS["DeleteMessage"] = sqs._act_delete_message
    sqs._HANDLERS["DeleteMessageBatch"] = sqs._act_delete_message_batch


def remove(queue: Queue, doomed: Callable[[Message], bool]) -> list[Message]:
    """Take all messages that are `doomed` out of the queue and return them."""
    with _removing:
        messages: list[Message] = queue["messages"]
        removed = [message for message in list(messages) if doomed(message)]
        for message in removed:
            messages.remove(message)
        return removed


def _received_as(handle: str | None) -> Callable[[Message], bool]:
    return lambda message: handle is not None and message.get("receipt_handle") == handle


def _under_lock(original: Callable[..., Any]) -> Callable[..., Any]:
    def collect_messages(q: Queue, max_n: int, vis_timeout: int) -> Any:
        with _removing:
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


def install_redrive() -> None:
    """Add StartMessageMoveTask and ListMessageMoveTasks, which the emulator lacks.

    A dead letter is sent again once its cause is repaired.
    """
    sqs = emulator("services.sqs", "_HANDLERS", "_Err", "_queue_by_arn", "_queues", "esm_wake")
    sqs._HANDLERS["StartMessageMoveTask"] = _start_move
    sqs._HANDLERS["ListMessageMoveTasks"] = _list_moves


def _start_move(data: dict[str, Any], _queue_url: str) -> dict[str, Any]:
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
    _finished_moves.append(task)
    return {"TaskHandle": uuid.uuid4().hex}


def _redriven_from(dead_letter_arn: str) -> str:
    """Return the ARN of the queue with this dead-letter queue in its redrive policy; "" if there is none."""
    for queue in list(emulator("services.sqs")._queues.values()):
        policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        if policy.get("deadLetterTargetArn") == dead_letter_arn:
            return str(queue["attributes"]["QueueArn"])
    return ""


def _list_moves(data: dict[str, Any], _queue_url: str) -> dict[str, Any]:
    newest_first = [task for task in reversed(_finished_moves) if task["SourceArn"] == data["SourceArn"]]
    return {"Results": newest_first[: int(data.get("MaxResults", 1))]}


class WakeUp:
    """Calls `wake` at the earliest of the requested times, without polling."""

    def __init__(self, wake: Callable[[], None]):
        self._wake = wake
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._when = float("inf")

    def at(self, when: float) -> None:
        """Wake at the epoch second `when`, unless an earlier time is set."""
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
        self._wake()


def install_mappings(concurrency: int) -> None:
    """Replace the poller's receive; no mapping has more than `concurrency` batches in flight.

    The emulator caps a batch at 10, ignores the window, looks for delayed messages once a second, and would start five
    Lambda environments for each queue on a machine of two cores.
    """
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
    wake_up = WakeUp(sqs.esm_wake.set)

    def receive_messages_for_esm(queue_url: str, max_number: int) -> list[dict[str, Any]]:
        with sqs._queues_lock:
            queue = sqs._get_q(queue_url)
            sqs._expire_retained(queue)
            sqs._dlq_sweep(queue)
            size = min(max_number, _FIFO_BATCH) if queue["is_fifo"] else max_number
            due = _due(queue["messages"], size, _window(queue))
            if due > time.time():
                wake_up.at(due)
                return []
            messages: list[dict[str, Any]] = sqs._collect_msgs(
                queue, size, int(queue["attributes"].get("VisibilityTimeout", "30"))
            )
            return messages

    return receive_messages_for_esm


def _due(messages: list[dict[str, Any]], size: int, window: float) -> float:
    """Return the epoch second at which a batch is full or its window has ended; infinity for an empty queue."""
    visible_at = sorted(message["visible_at"] for message in list(messages))
    if not visible_at:
        return float("inf")
    full = visible_at[size - 1] if len(visible_at) >= size else float("inf")
    return float(min(full, visible_at[0] + window))


def _window(queue: dict[str, Any]) -> float:
    """Return the batching window, in seconds, of the mapping that reads this queue."""
    arn = queue["attributes"]["QueueArn"]
    for mapping in emulator("services.lambda_svc")._esms.values():
        if mapping["EventSourceArn"] == arn:
            return float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    return 0.0
