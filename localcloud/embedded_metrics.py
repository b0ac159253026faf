"""Metrics in log lines: CloudWatch's embedded metric format, which Powertools writes and the emulator does not read."""

from __future__ import annotations

import json
from typing import Any

from localcloud.metrics.points import record


def put_embedded_metrics(line: str) -> None:
    """Put the metrics of one log line, if it is an embedded metric document; any other line is left alone."""
    if not (line.startswith("{") and '"_aws"' in line):
        return
    try:
        document = json.loads(line)
    except ValueError:
        return  # a line that only looks like one
    directives = document.get("_aws", {}).get("CloudWatchMetrics", []) if isinstance(document, dict) else []
    for directive in directives:
        _put(document, directive)


def _put(document: dict[str, Any], directive: dict[str, Any]) -> None:
    for names in directive.get("Dimensions") or [[]]:
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive.get("Metrics", []):
            values = document.get(metric["Name"], [])
            for value in values if isinstance(values, list) else [values]:
                record(directive["Namespace"], metric["Name"], value, metric.get("Unit", "None"), dimensions)
