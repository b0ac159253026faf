"""The metrics that AWS's services put into CloudWatch by themselves, and the watch that evaluates alarms on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from localcloud.account import in_account
from localcloud.patches.cloudwatch import LOCK
from localcloud.patches.patching import emulator, replace

_log = logging.getLogger(__name__)
MERGED_SECONDS = 10.0
"""Values that arrive within this time share a point. CloudWatch's own is a minute; an alarm's period is longer."""
KEPT_SECONDS = 3600.0
"""How long a point is kept: no alarm looks back further, and every point makes the emulator's snapshots longer."""
PAUSE_SECONDS = 2.0
"""The pause between two evaluations. CloudWatch takes a minute, but here a person waits for the alarm."""
_FUNCTIONS = "AWS/Lambda"
_QUEUES = "AWS/SQS"
_STATE_MACHINES = "AWS/States"
_EXECUTION_METRICS = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
_EMITTED = ("function_name", "duration_ms", "error", "throttle")


def install() -> Watch:
    """Count invocations and executions; return the watch, which the server starts and stops."""
    emulator("services.lambda_svc", "_function_config_scope_mismatch")
    # The emulator counts invocations by the API only, not those by queues, rules and state machines.
    replace("services.lambda_svc", "_emit_lambda_metrics", _EMITTED, lambda _original: _not_twice)
    replace("services.lambda_svc", "_execute_function", ("func", "event"), _counted_invocation)
    # The emulator counts no executions.
    replace("services.stepfunctions", "_emit_execution_status_event", ("execution",), _counted_execution)
    return Watch()


def record(namespace: str, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
    """Put one value with the present time, in the caller's account; close values share a point, as in CloudWatch."""
    cloudwatch = emulator("services.cloudwatch", "_metric_bucket", "_dims_key")
    now, value = time.time(), float(value)
    with LOCK:
        points: list[dict[str, Any]] = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dimensions)))
        newest = points[-1] if points else {}
        if now - newest.get("Since", 0.0) < MERGED_SECONDS:
            # A point has the time of its newest value: an alarm must see that value before the point leaves its period.
            newest.update(Timestamp=now, **_merged(newest["_stat"], value))
            return
        del points[: _outdated(points, now)]
        first = {"SampleCount": 0.0, "Sum": 0.0, "Minimum": value, "Maximum": value}
        points.append(
            {"Timestamp": now, "Since": now, "Unit": unit, "Dimensions": dict(dimensions), **_merged(first, value)}
        )


def _merged(statistics: dict[str, float], value: float) -> dict[str, Any]:
    """Return the emulator's statistic set with one more value."""
    count, total = statistics["SampleCount"] + 1, statistics["Sum"] + value
    low, high = min(statistics["Minimum"], value), max(statistics["Maximum"], value)
    return {
        "Value": total / count,
        "_stat": {"SampleCount": count, "Sum": total, "Minimum": low, "Maximum": high},
    }


def _outdated(points: list[dict[str, Any]], now: float) -> int:
    """Return how many of the oldest points are older than KEPT_SECONDS."""
    return sum(point["Timestamp"] < now - KEPT_SECONDS for point in points)


def _not_twice(*_arguments: Any, **_options: Any) -> None:
    """Do nothing: the execution has been counted."""


def _counted_invocation(original: Callable[..., Any]) -> Callable[..., Any]:
    functions = emulator("services.lambda_svc")

    def execute_function(func: dict[str, Any], event: Any) -> dict[str, Any]:
        configuration = func.get("config") or func
        if functions._function_config_scope_mismatch(configuration):
            answer: dict[str, Any] = original(func, event)  # it calls this function again, in the function's account
            return answer
        started = time.monotonic()
        answer = original(func, event)
        _count_invocation(configuration["FunctionName"], answer, (time.monotonic() - started) * 1000)
        return answer

    return execute_function


def _count_invocation(name: str, answer: dict[str, Any], milliseconds: float) -> None:
    """Count one invocation; a throttled one counts neither as an invocation nor as an error."""
    dimensions = {"FunctionName": name}
    throttled = bool(answer.get("throttle"))
    record(_FUNCTIONS, "Throttles", throttled, "Count", dimensions)
    if not throttled:
        record(_FUNCTIONS, "Invocations", 1, "Count", dimensions)
        record(_FUNCTIONS, "Errors", bool(answer.get("error")), "Count", dimensions)
        record(_FUNCTIONS, "Duration", milliseconds, "Milliseconds", dimensions)


def _counted_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    def emit_execution_status_event(execution: dict[str, Any]) -> None:
        metric = _EXECUTION_METRICS[execution["status"]]
        record(_STATE_MACHINES, metric, 1, "Count", {"StateMachineArn": execution["stateMachineArn"]})
        original(execution)

    return emit_execution_status_event


class QueueMetrics:
    """AWS/SQS: the number of visible messages of each queue, and the oldest's age. The emulator measures neither."""

    def __init__(self) -> None:
        self._sqs = emulator("services.sqs", "_queues", "_queues_lock", "_expire_retained")
        self._active: set[str] = set()

    def measure(self) -> None:
        """Put the present values; a queue that stays empty gets none, since SQS sends none for an inactive queue."""
        active = set()
        for queue in self._sqs._queues.values():
            name = queue["attributes"]["QueueArn"].rsplit(":", 1)[-1]
            visible, age = self._measured(queue)
            if visible or age:
                active.add(name)
            if name in active | self._active:
                dimensions = {"QueueName": name}
                record(_QUEUES, "ApproximateNumberOfMessagesVisible", visible, "Count", dimensions)
                record(_QUEUES, "ApproximateAgeOfOldestMessage", age, "Seconds", dimensions)
        self._active = active

    def _measured(self, queue: dict[str, Any]) -> tuple[int, float]:
        """Return how many messages could be received now, and the age of the oldest in seconds, received or not."""
        now = time.time()
        with self._sqs._queues_lock:
            self._sqs._expire_retained(queue)  # no function reads dead letters, so that only this expires them
            messages = list(queue["messages"])
        visible = sum(message["visible_at"] <= now for message in messages)
        oldest = min((message.get("enqueued_at") or message["sent_at"] for message in messages), default=now)
        return visible, max(0.0, now - oldest)


class Watch:
    """Measures the queues and evaluates every alarm on one thread, from ``start`` to ``stop``."""

    def __init__(self) -> None:
        self._cloudwatch = emulator("services.cloudwatch", "_alarms", "_evaluate_alarm")
        self._queues = QueueMetrics()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the evaluation in progress."""
        self._ended.set()
        self._thread.join()

    def evaluate(self) -> None:
        """Measure every queue, then evaluate every alarm."""
        with in_account():
            self._queues.measure()
            for alarm in self._cloudwatch._alarms.values():
                self._cloudwatch._evaluate_alarm(alarm)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            try:
                self.evaluate()
            except Exception:
                _log.exception("The alarms were not evaluated this time.")
