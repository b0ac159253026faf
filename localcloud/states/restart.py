"""An execution that ran when the cloud ended has failed at the next start, and its history and its event say so.

The emulator marks it as failed, but tells nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.account import in_account
from localcloud.patches.seam import emulator, replace

ERROR = "States.Runtime"
CAUSE = "The local cloud ended while this execution ran. Start it again."


def install() -> None:
    """Wrap the loading of saved state."""
    emulator("services.stepfunctions", "_executions", "_fail_execution")
    replace("services.stepfunctions", "_restore_state", ("data",), _failing_what_ran)


def _failing_what_ran(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def restore_state(data: dict[str, Any]) -> None:
        saved = data.get("executions") if data else None
        ran = [execution for execution in saved.all_values() if execution["status"] == "RUNNING"] if saved else []
        original(data)
        with in_account():
            for execution in ran:
                execution["status"] = "RUNNING"  # the emulator has changed it already
                states._fail_execution(execution, ERROR, CAUSE)

    return restore_state
