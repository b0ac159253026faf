"""AWS/Lambda: one count for each invocation, whoever asked for it.

The emulator counts what is invoked by the API alone, not what queues, rules and state machines invoke.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from localcloud.metrics.points import record
from localcloud.patches.seam import emulator, replace

NAMESPACE = "AWS/Lambda"
_EMITTED = ("function_name", "duration_ms", "error", "throttle")


def install() -> None:
    """Count where functions are executed, and nowhere else."""
    emulator("services.lambda_svc", "_function_config_scope_mismatch")
    replace("services.lambda_svc", "_emit_lambda_metrics", _EMITTED, lambda _original: _not_twice)
    replace("services.lambda_svc", "_execute_function", ("func", "event"), _counted)


def _not_twice(*_arguments: Any, **_options: Any) -> None:
    """The execution has been counted."""


def _counted(original: Callable[..., Any]) -> Callable[..., Any]:
    functions = emulator("services.lambda_svc")

    def execute_function(func: dict[str, Any], event: Any) -> dict[str, Any]:
        configuration = func.get("config") or func
        if functions._function_config_scope_mismatch(configuration):
            answer: dict[str, Any] = original(func, event)  # which comes back here, in the function's own account
            return answer
        started = time.monotonic()
        answer = original(func, event)
        _count(configuration["FunctionName"], answer, (time.monotonic() - started) * 1000)
        return answer

    return execute_function


def _count(name: str, answer: dict[str, Any], milliseconds: float) -> None:
    """An invocation that was throttled is none, and no error."""
    dimensions = {"FunctionName": name}
    throttled = bool(answer.get("throttle"))
    record(NAMESPACE, "Throttles", throttled, "Count", dimensions)
    if not throttled:
        record(NAMESPACE, "Invocations", 1, "Count", dimensions)
        record(NAMESPACE, "Errors", bool(answer.get("error")), "Count", dimensions)
        record(NAMESPACE, "Duration", milliseconds, "Milliseconds", dimensions)
