"""Log streams are told apart: FilterLogEvents answers those of a prefix, and IAM is asked about the one that is read.

The emulator answers the whole group's events and asks about the group: whoever may follow one job would follow all.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_ASKED = ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")
_OF_A_STREAM = frozenset({"GetLogEvents", "PutLogEvents"})
_NO_STREAM = ":"  # no stream can have this name, and an empty list would stand for all streams


def install() -> None:
    """Wrap FilterLogEvents, and what tells the resource that a request is about."""
    emulator("services.cloudwatch_logs", "_log_groups", "_resolve_log_group_name")
    replace("services.cloudwatch_logs", "_filter_log_events", ("data",), _by_prefix)
    replace("core.iam_actions", "extract_resource_arn", _ASKED, _of_stream)


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
    @functools.wraps(original)  # SageMaker's own seam looks at the parameters
    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        arn = original(service, method, path, headers, body, *rest)
        if service == "logs" and headers.get("x-amz-target", "").rpartition(".")[2] in _OF_A_STREAM:
            return f"{arn}:log-stream:{json.loads(body).get('logStreamName', '')}"
        return arn

    return extract_resource_arn
