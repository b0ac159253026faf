"""FilterLogEvents looks at the streams that it is asked for by a prefix: the emulator answers the whole group's events.

A person who follows one job would see the lines of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wetread.local.mends.seam import emulator, replace

_NO_STREAM = ":"  # no stream can have this name, and an empty list would stand for all streams


def install() -> None:
    """Wrap FilterLogEvents."""
    emulator("services.cloudwatch_logs", "_log_groups", "_resolve_log_group_name")
    replace("services.cloudwatch_logs", "_filter_log_events", ("data",), _by_prefix)


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
