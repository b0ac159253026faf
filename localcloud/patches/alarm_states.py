"""An alarm looks at its own dimensions, at each of its periods, and at periods without data, as CloudWatch's does.

The emulator's alarm takes all metrics of its name for its own, so that one function's error rings the alarms of all; it
adds up several periods as one; and without new data it keeps its state for ever.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from localcloud.patches.seam import emulator, replace

LOCK = threading.RLock()
"""Held where points are put, thrown away or judged: else two threads tell of one change, or lose a point."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def install() -> None:
    """Replace the evaluation of one alarm, and let old points go while nobody puts new ones."""
    emulator("services.cloudwatch", "_metrics", "_dims_key", "_dims_from_list", "_calc_stats", "_stat_value")
    emulator("services.cloudwatch", "_record_history", "_dispatch_alarm_actions", "_evaluate_parent_alarms")
    replace("services.cloudwatch", "_evaluate_alarm", ("alarm",), _evaluated)
    replace("services.cloudwatch", "_evict_old_metrics", (), _locked)


def _locked(original: Callable[..., Any]) -> Callable[..., Any]:
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
            state = judge(alarm, values)
            if state != alarm["StateValue"]:
                _change(alarm, state, _reason(alarm, values))

    return evaluate_alarm


def judge(alarm: dict[str, Any], values: Sequence[float | None]) -> str:
    """The state of an alarm by the values of its periods, None for a period without data."""
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    missing = alarm.get("TreatMissingData") or "missing"
    breaching = sum(missing == "breaching" if one is None else breaches(one, alarm["Threshold"]) for one in values)
    if breaching >= (alarm.get("DatapointsToAlarm") or len(values)):
        return "ALARM"
    if all(one is None for one in values):
        return {"missing": "INSUFFICIENT_DATA", "ignore": str(alarm["StateValue"])}.get(missing, "OK")
    return "OK"


def _values(alarm: dict[str, Any], now: float) -> list[float | None]:
    """The statistic of each period, newest first."""
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
    told = ", ".join("no data" if one is None else f"{one:g}" for one in values)
    return f"Newest first: {told}; {alarm['ComparisonOperator']} {alarm['Threshold']:g}"


def _change(alarm: dict[str, Any], state: str, reason: str) -> None:
    """Change the state and tell all who are to be told, in the emulator's own way."""
    cloudwatch = emulator("services.cloudwatch")
    before = alarm["StateValue"]
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)
