"""Asynchronous invocations: one request id for all tries, and the record that a failure destination gets.

The emulator gives each try another id, and its records have none. Lambda's name the request, how often the function was
tried, and why no more: RetriesExhausted, or EventAgeExceeded for an event that found no room (Lambda Developer Guide,
"Capturing records of Lambda asynchronous invocations").
"""

from __future__ import annotations

import contextvars
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.patches.patching import emulator, replace

VERSION = "$LATEST"
_Handler = Callable[..., Any]


@dataclass
class Asynchronous:
    """One event that Lambda has taken, and how often the function was tried with it."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tries: int = 0


_current: contextvars.ContextVar[Asynchronous | None] = contextvars.ContextVar("asynchronous", default=None)


def install() -> None:
    """Replace what takes an event and what routes its failure; a thread in between has the context of the first."""
    emulator("services.lambda_svc", "_functions")
    emulator("services.sqs", "_act_send_message", "_queue_by_arn")
    replace("services.lambda_svc", "invoke_async_with_retry", ("func", "event"), _numbered)
    replace("services.lambda_svc", "_route_async_failure", ("target_arn", "func_name", "event", "result"), _recorded)


def tried(request_id: str) -> str:
    """Count a try; return its request id, which is ``request_id`` for an invocation that waits for its answer."""
    invocation = _current.get()
    if invocation is None:
        return request_id
    invocation.tries += 1
    return invocation.request_id


def _numbered(original: _Handler) -> _Handler:
    def take(func: dict[str, Any], event: Any) -> None:
        before = _current.set(Asynchronous())
        try:
            original(func, event)
        finally:
            _current.reset(before)

    return take


def _recorded(original: _Handler) -> _Handler:
    """Send the record to a queue as Lambda writes it; leave other kinds of destinations to the emulator."""
    functions, sqs = emulator("services.lambda_svc"), emulator("services.sqs")

    def route(target_arn: str, func_name: str, event: Any, result: dict[str, Any]) -> None:
        invocation, queue = _current.get(), sqs._queue_by_arn(target_arn)
        if invocation is None or queue is None:
            original(target_arn, func_name, event, result)
            return
        arn = functions._functions[func_name]["config"]["FunctionArn"]
        record = _record(invocation, f"{arn}:{VERSION}", event, result)
        sqs._act_send_message({"MessageBody": json.dumps(record)}, queue["url"])

    return route


def _record(invocation: Asynchronous, arn: str, event: Any, result: dict[str, Any]) -> dict[str, Any]:
    throttled = result.get("throttle", False)
    record = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": arn,
            "condition": "EventAgeExceeded" if throttled else "RetriesExhausted",
            "approximateInvokeCount": invocation.tries,
        },
        "requestPayload": event,
    }
    if throttled:  # it never reached the function, so there is no answer
        return record
    answer = {"statusCode": 200, "executedVersion": VERSION, "functionError": result["function_error"]}
    return {**record, "responseContext": answer, "responsePayload": result["body"]}
