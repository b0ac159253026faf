"""StartExecution checks name and input, and may be repeated: a caller that lost the answer starts no second run.

The emulator takes an input that is no JSON for {} and refuses to repeat the same call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_LIMIT_BYTES = 262_144


def install() -> None:
    """Wrap the operation."""
    emulator("services.stepfunctions", "_executions", "_resolve_state_machine_arn", "error_response_json")
    emulator("services.stepfunctions", "json_response")
    replace("services.stepfunctions", "_start_execution", ("data",), _checked)


def _checked(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def start_execution(data: dict[str, Any]) -> Any:
        code, message = _problem(data)
        if code:
            return states.error_response_json(code, message, 400)
        running = _same_and_running(data)
        if running is not None:
            return states.json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})
        return original(data)

    return start_execution


def _problem(data: dict[str, Any]) -> tuple[str, str]:
    name, document = data.get("name"), data.get("input", "{}")
    if name is not None and not _NAME.fullmatch(name):
        return "InvalidName", f"Invalid Name: '{name}'"
    if len(document.encode()) > _LIMIT_BYTES:
        return "InvalidExecutionInput", f"Invalid State Machine Execution Input: more than {_LIMIT_BYTES} bytes"
    try:
        json.loads(document)
    except ValueError as error:
        return "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
    return "", ""


def _same_and_running(data: dict[str, Any]) -> dict[str, Any] | None:
    """The running execution of this name, machine and input; None if there is none."""
    states = emulator("services.stepfunctions")
    machine = states._resolve_state_machine_arn(data.get("stateMachineArn", ""))
    for execution in list(states._executions.values()):
        same = (execution["name"], execution["stateMachineArn"]) == (data.get("name"), machine)
        if same and execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}"):
            found: dict[str, Any] = execution
            return found
    return None
