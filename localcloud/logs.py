"""Lines for CloudWatch Logs from inside the launcher: from functions and from containers, with the metrics in them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from localcloud.account import in_account
from localcloud.embedded_metrics import put_embedded_metrics
from localcloud.patches.seam import emulator


class LogStream:
    """One stream of one log group; both are created with the first line."""

    def __init__(self, group: str, stream: str):
        self.group = group
        self.stream = stream

    def write(self, lines: Iterable[str]) -> None:
        """Append lines with the present time; metrics in CloudWatch's embedded format are put as metrics as well."""
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
