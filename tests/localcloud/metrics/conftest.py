"""A metric in the emulator's CloudWatch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


@pytest.fixture
def total(client: Callable[[str], Any]) -> Callable[..., float | None]:
    """Return a metric's sum, or another statistic, of the last minutes; None without data."""

    def ask(namespace: str, metric: str, statistic: str = "Sum", **dimensions: str) -> float | None:
        now = datetime.now(UTC)
        found = client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        over_periods = {"Sum": sum, "Minimum": min, "Maximum": max}[statistic]
        return over_periods(float(one[statistic]) for one in found) if found else None

    return ask
