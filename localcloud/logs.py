"""CloudWatch Logs for functions and containers, and the metrics in their lines (the embedded metric format)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from localcloud.account import in_account
from localcloud.metrics import record
from localcloud.patches.patching import emulator


class LogStream:
    """A stream of a log group; the first line creates both."""

    def __init__(self, group: str, stream: str):
        self.group = group
        self.stream = stream

    def write(self, lines: Iterable[str]) -> None:
        """Append lines with the present time, and put the metrics in them."""
        logs = emulator("services.cloudwatch_logs", "_log_groups", "_make_group_arn", "_append_log_events")
        now = int(time.time() * 1000)
        lines = list(lines)
        with in_account():
            group = logs._log_groups.setdefault(self.group, _new_group(logs._make_group_arn(self.group), now))
            stream = group["streams"].setdefault(self.stream, _new_stream(now))
            events = [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines]
            logs._append_log_events(stream, events)
            for line in lines:
                put_embedded_metrics(line)


def _new_group(arn: str, now: int) -> dict[str, Any]:
    return {
        "arn": arn,
        "creationTime": now,
        "retentionInDays": None,
        "tags": {},
        "subscriptionFilters": {},
        "streams": {},
    }


def _new_stream(now: int) -> dict[str, Any]:
    return {
        "events": [],
        "uploadSequenceToken": "1",
        "creationTime": now,
        "firstEventTimestamp": None,
        "lastEventTimestamp": None,
        "lastIngestionTime": None,
    }


def put_embedded_metrics(line: str) -> None:
    """Put the metrics of a log line that is an embedded metric document, which the emulator ignores."""
    if not (line.startswith("{") and '"_aws"' in line):
        return
    try:
        document = json.loads(line)
    except ValueError:
        return  # a line that only looks like a document
    directives = document.get("_aws", {}).get("CloudWatchMetrics", []) if isinstance(document, dict) else []
    for directive in directives:
        _put_directive(document, directive)


def _put_directive(document: dict[str, Any], directive: dict[str, Any]) -> None:
    for names in directive.get("Dimensions") or [[]]:
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive.get("Metrics", []):
            values = document.get(metric["Name"], [])
            for value in values if isinstance(values, list) else [values]:
                record(directive["Namespace"], metric["Name"], value, metric.get("Unit", "None"), dimensions)
