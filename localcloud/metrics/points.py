"""Puts values into the emulator's CloudWatch: gathered into a few points, as CloudWatch does, and not kept for ever."""

from __future__ import annotations

import time
from typing import Any

from localcloud.patches.alarm_states import LOCK
from localcloud.patches.seam import emulator

GATHERED_SECONDS = 10.0
"""Values that arrive so close to each other share a point. CloudWatch's own is a minute; an alarm's period is more."""
KEPT_SECONDS = 3600.0
"""So long a point is kept: no alarm looks back further, and every point makes the emulator's snapshots longer."""


def record(namespace: str, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
    """Put one value with the present time; the caller acts in the account."""
    cloudwatch = emulator("services.cloudwatch", "_metric_bucket", "_dims_key")
    now, value = time.time(), float(value)
    with LOCK:
        points: list[dict[str, Any]] = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dimensions)))
        newest = points[-1] if points else {}
        if now - newest.get("Since", 0.0) < GATHERED_SECONDS:
            # At the time of its newest value: a point must not leave an alarm's period before that value has been seen.
            newest.update(Timestamp=now, **_together(newest["_stat"], value))
            return
        del points[: _outdated(points, now)]
        first = {"SampleCount": 0.0, "Sum": 0.0, "Minimum": value, "Maximum": value}
        points.append(
            {"Timestamp": now, "Since": now, "Unit": unit, "Dimensions": dict(dimensions), **_together(first, value)}
        )


def _together(statistics: dict[str, float], value: float) -> dict[str, Any]:
    """The emulator's form of a statistic set, with one more value in it."""
    count, total = statistics["SampleCount"] + 1, statistics["Sum"] + value
    low, high = min(statistics["Minimum"], value), max(statistics["Maximum"], value)
    return {
        "Value": total / count,
        "_stat": {"SampleCount": count, "Sum": total, "Minimum": low, "Maximum": high},
    }


def _outdated(points: list[dict[str, Any]], now: float) -> int:
    """How many of the oldest points are older than what is kept."""
    return sum(point["Timestamp"] < now - KEPT_SECONDS for point in points)
