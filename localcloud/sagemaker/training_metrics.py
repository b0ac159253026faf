"""The metrics of a training job: numbers that its regular expressions find in the container's output."""

from __future__ import annotations

import re
import time

from localcloud.account import in_account
from localcloud.patches.patching import emulator
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Record

_NAMESPACE = "/aws/sagemaker/TrainingJobs"


class TrainingMetrics:
    """The latest value of each metric, as DescribeTrainingJob lists them."""

    def __init__(self, definitions: list[Record], job_name: str):
        """Raise a ValidationException for an expression that is invalid or has no group for the number."""
        self._job_name = job_name
        self._last: dict[str, Record] = {}
        self._expressions = [(definition["Name"], _compiled(definition)) for definition in definitions]

    def read(self, line: str) -> list[Record] | None:
        """Look for metrics in a line; return the whole FinalMetricDataList if there was one, else None."""
        found = False
        for name, expression in self._expressions:
            for match in expression.finditer(line):
                value = _number(match[1])
                if value is None:
                    continue
                found = True
                self._last[name] = {"MetricName": name, "Value": value, "Timestamp": time.time()}
                self._put(name, value)
        return list(self._last.values()) if found else None

    def _put(self, name: str, value: float) -> None:
        """Put the value into CloudWatch, as SageMaker does."""
        record_metric = emulator("services.cloudwatch", "record_metric").record_metric
        with in_account():
            record_metric(_NAMESPACE, name, value, "None", {"TrainingJobName": self._job_name})


def _compiled(definition: Record) -> re.Pattern[str]:
    try:
        expression = re.compile(definition["Regex"])
    except re.error as error:
        raise invalid(
            f"The Regex {definition['Regex']!r} of metric {definition['Name']} is invalid: {error}."
        ) from error
    if expression.groups == 0:
        raise invalid(f"The Regex {definition['Regex']!r} of metric {definition['Name']} has no group for the number.")
    return expression


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
