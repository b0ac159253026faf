"""The history of an execution in AWS's form: short resource names, their service, the task's parameters, and the order.

What reads the history to show where a run is finds the members that the API's model requires.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_FIRST_STATE = 2  # as on AWS, the entry of the first state follows nothing
_PREFIX = "arn:aws:states:::"
_arguments: contextvars.ContextVar[Any] = contextvars.ContextVar("arguments of the task", default=None)


def install() -> None:
    """Wrap the writing of events, and remember the arguments of the task that is scheduled next."""
    emulator("services.stepfunctions", "get_region")
    replace("services.stepfunctions", "_apply_jsonata_arguments", ("state_def", "raw_input", "ctx"), _remembered)
    replace("services.stepfunctions", "_add_event", ("execution", "event_type", "details"), _in_aws_form)


def _remembered(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_jsonata_arguments(state_def: dict[str, Any], raw_input: Any, ctx: dict[str, Any] | None = None) -> Any:
        arguments = original(state_def, raw_input, ctx)
        _arguments.set(arguments)
        return arguments

    return apply_jsonata_arguments


def _in_aws_form(original: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(execution: dict[str, Any], event_type: str, details: dict[str, Any] | None = None) -> Any:
        if event_type.startswith("Task") and details and not event_type.startswith("TaskState"):
            details = {member: _task_details(event_type, value) for member, value in details.items()}
        event = original(execution, event_type, details)
        event["previousEventId"] = event["id"] - 1 if event["id"] > _FIRST_STATE else 0
        return event

    return add_event


def _task_details(event_type: str, details: dict[str, Any]) -> dict[str, Any]:
    service, _, action = details["resource"].removeprefix(_PREFIX).partition(":")
    if not action:
        return details
    named = {**details, "resourceType": service, "resource": action}
    if event_type == "TaskScheduled":
        named.update(region=emulator("services.stepfunctions").get_region(), parameters=json.dumps(_arguments.get()))
    return named
