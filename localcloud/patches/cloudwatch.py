"""CloudWatch: alarms look at their own dimensions, periods and gaps, and log streams are read one by one."""

from __future__ import annotations

import functools
import json
import operator
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from localcloud.patches.patching import emulator, replace

LOCK = threading.RLock()
"""Held where points are put, evicted or evaluated: otherwise two threads report one change, or lose a point."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_ARN_PARAMETERS = ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")
_STREAM_OPERATIONS = frozenset({"GetLogEvents", "PutLogEvents"})
_NO_STREAM = ":"  # no stream can have this name; an empty list would select all streams


def install() -> None:
    """Install the patches of this service."""
    install_alarms()
    install_log_streams()


def install_alarms() -> None:
    """Replace the evaluation of one alarm, and lock the eviction of old points.

    The emulator's alarm takes all metrics of its name for its own, so that one function's error rings the alarms of
    all. It adds up several periods as one, and keeps its state for ever without new data.
    """
    emulator("services.cloudwatch", "_metrics", "_dims_key", "_dims_from_list", "_calc_stats", "_stat_value")
    emulator("services.cloudwatch", "_record_history", "_dispatch_alarm_actions", "_evaluate_parent_alarms")
    replace("services.cloudwatch", "_evaluate_alarm", ("alarm",), _evaluated)
    replace("services.cloudwatch", "_evict_old_metrics", (), _under_lock)


def _under_lock(original: Callable[..., Any]) -> Callable[..., Any]:
    def evict_old_metrics() -> None:
        with LOCK:
            original()

    return evict_old_metrics


def _evaluated(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate_alarm(alarm: dict[str, Any]) -> None:
        if alarm.get("ComparisonOperator") not in _COMPARISONS or not alarm.get("MetricName"):
            original(alarm)
            return
        with LOCK:
            values = _values(alarm, time.time())
            state = alarm_state(alarm, values)
            if state != alarm["StateValue"]:
                _change(alarm, state, _reason(alarm, values))

    return evaluate_alarm


def alarm_state(alarm: dict[str, Any], values: Sequence[float | None]) -> str:
    """Return the state of an alarm by the values of its periods; a period without data is None."""
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    missing = alarm.get("TreatMissingData") or "missing"
    breaching = sum(missing == "breaching" if one is None else breaches(one, alarm["Threshold"]) for one in values)
    if breaching >= (alarm.get("DatapointsToAlarm") or len(values)):
        return "ALARM"
    if all(one is None for one in values):
        return {"missing": "INSUFFICIENT_DATA", "ignore": str(alarm["StateValue"])}.get(missing, "OK")
    return "OK"


def _values(alarm: dict[str, Any], now: float) -> list[float | None]:
    """Return the statistic of each period, newest first."""
    cloudwatch = emulator("services.cloudwatch")
    dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    period = float(alarm["Period"])
    periods: list[list[dict[str, Any]]] = [[] for _ in range(int(alarm["EvaluationPeriods"]))]
    for point in cloudwatch._metrics.get(key) or ():
        number = int((now - point["Timestamp"]) // period)
        if 0 <= number < len(periods):
            periods[number].append(point)
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
        for points in periods
    ]


def _reason(alarm: dict[str, Any], values: Sequence[float | None]) -> str:
    listed = ", ".join("no data" if one is None else f"{one:g}" for one in values)
    return f"Newest first: {listed}; {alarm['ComparisonOperator']} {alarm['Threshold']:g}"


def _change(alarm: dict[str, Any], state: str, reason: str) -> None:
    """Change the state, record it, and notify through the emulator's own functions."""
    cloudwatch = emulator("services.cloudwatch")
    before = alarm["StateValue"]
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def install_log_streams() -> None:
    """Let FilterLogEvents return the streams of a prefix, and IAM check the stream that is read.

    The emulator returns the whole group's events and checks the group: a role that may follow one job could follow all.
    """
    emulator("services.cloudwatch_logs", "_log_groups", "_resolve_log_group_name")
    replace("services.cloudwatch_logs", "_filter_log_events", ("data",), _by_prefix)
    replace("core.iam_actions", "extract_resource_arn", _ARN_PARAMETERS, _of_stream)


def _by_prefix(original: Callable[..., Any]) -> Callable[..., Any]:
    logs = emulator("services.cloudwatch_logs")

    def filter_log_events(data: dict[str, Any]) -> Any:
        prefix = data.get("logStreamNamePrefix")
        group = logs._log_groups.get(logs._resolve_log_group_name(data))
        if not prefix or group is None:
            return original(data)
        names = [name for name in list(group["streams"]) if name.startswith(prefix)]
        return original({**data, "logStreamNames": names or [_NO_STREAM]})

    return filter_log_events


def _of_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)  # SageMaker's own patch checks the parameters
    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        arn = original(service, method, path, headers, body, *rest)
        if service == "logs" and headers.get("x-amz-target", "").rpartition(".")[2] in _STREAM_OPERATIONS:
            return f"{arn}:log-stream:{json.loads(body).get('logStreamName', '')}"
        return arn

    return extract_resource_arn
