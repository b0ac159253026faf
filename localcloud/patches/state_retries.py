"""Retry waits as Amazon States Language says, and States.ALL leaves out the two errors that nothing can help.

The emulator knows neither MaxDelaySeconds nor JitterStrategy, and cuts every pause to a minute.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_HOPELESS = frozenset({"States.DataLimitExceeded", "States.Runtime"})
_WILDCARDS = frozenset({"States.ALL", "States.TaskFailed"})


def install() -> None:
    """Wait in the choice of the retrier, where all that is needed is known, and leave no pause for afterwards."""
    emulator("services.stepfunctions", "_scaled_sleep")
    replace("services.stepfunctions", "_error_matches", ("error_equals", "error"), _not_the_hopeless)
    replace(
        "services.stepfunctions", "_find_matching_retrier", ("retriers", "error", "retry_counts"), _waiting_as_asked
    )


def delay(retrier: dict[str, Any], retries: int, chance: Callable[[], float] = random.random) -> float:
    """The seconds before the next try, after so many retries by this retrier."""
    seconds = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries
    seconds = min(seconds, float(retrier.get("MaxDelaySeconds", seconds)))
    return seconds * chance() if retrier.get("JitterStrategy") == "FULL" else seconds


def _waiting_as_asked(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def find_matching_retrier(retriers: list[dict[str, Any]], error: str, retry_counts: dict[int, int]) -> Any:
        retrier, index = original(retriers, error, retry_counts)
        if retrier is None:
            return retrier, index
        states._scaled_sleep(delay(retrier, retry_counts.get(index, 0)))
        return {**retrier, "IntervalSeconds": 0}, index

    return find_matching_retrier


def _not_the_hopeless(original: Callable[..., Any]) -> Callable[..., Any]:
    def error_matches(error_equals: list[str], error: str) -> Any:
        if error in _HOPELESS:
            error_equals = [name for name in error_equals if name not in _WILDCARDS]
        return original(error_equals, error)

    return error_matches
