"""AWS/States: how many executions of each state machine started, and how they ended. The emulator counts none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.metrics.points import record
from localcloud.patches.seam import replace

NAMESPACE = "AWS/States"
_METRICS = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def install() -> None:
    """Count whenever an execution tells of its status."""
    replace("services.stepfunctions", "_emit_execution_status_event", ("execution",), _counted)


def _counted(original: Callable[..., Any]) -> Callable[..., Any]:
    def emit_execution_status_event(execution: dict[str, Any]) -> None:
        metric = _METRICS[execution["status"]]
        record(NAMESPACE, metric, 1, "Count", {"StateMachineArn": execution["stateMachineArn"]})
        original(execution)

    return emit_execution_status_event
