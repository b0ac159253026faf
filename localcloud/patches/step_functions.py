"""Step Functions: start, history, outputs and retries as AWS has them."""

from __future__ import annotations

import contextvars
import json
import random
import re
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

_EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_INPUT_LIMIT_BYTES = 262_144
_FIRST_STATE = 2  # as on AWS, the entry of the first state has no predecessor
_RESOURCE_PREFIX = "arn:aws:states:::"
_arguments: contextvars.ContextVar[Any] = contextvars.ContextVar("arguments of the task", default=None)
State = dict[str, Any]
_NOT_RETRIED = frozenset({"States.DataLimitExceeded", "States.Runtime"})
_WILDCARDS = frozenset({"States.ALL", "States.TaskFailed"})


def install() -> None:
    """Install the patches of this service."""
    install_start()
    install_history()
    install_outputs()
    install_retries()


def install_start() -> None:
    """Let StartExecution check name and input, and be repeated.

    A caller that lost the answer then starts no second run. The emulator takes input that is not JSON for {}, and
    refuses to repeat the same call.
    """
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
    if name is not None and not _EXECUTION_NAME.fullmatch(name):
        return "InvalidName", f"Invalid Name: '{name}'"
    if len(document.encode()) > _INPUT_LIMIT_BYTES:
        return "InvalidExecutionInput", f"Invalid State Machine Execution Input: more than {_INPUT_LIMIT_BYTES} bytes"
    try:
        json.loads(document)
    except ValueError as error:
        return "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
    return "", ""


def _same_and_running(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the running execution of this name, machine and input; None if there is none."""
    states = emulator("services.stepfunctions")
    machine = states._resolve_state_machine_arn(data.get("stateMachineArn", ""))
    for execution in list(states._executions.values()):
        same = (execution["name"], execution["stateMachineArn"]) == (data.get("name"), machine)
        if same and execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}"):
            found: dict[str, Any] = execution
            return found
    return None


def install_history() -> None:
    """Write the history in AWS's form: short resource names, their service, the task's parameters, and the order.

    A reader of the history that shows where a run is finds the members that the API's model requires.
    """
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
    service, _, action = details["resource"].removeprefix(_RESOURCE_PREFIX).partition(":")
    if not action:
        return details
    named = {**details, "resourceType": service, "resource": action}
    if event_type == "TaskScheduled":
        named.update(region=emulator("services.stepfunctions").get_region(), parameters=json.dumps(_arguments.get()))
    return named


def install_outputs() -> None:
    """Evaluate JSONata outputs and conditions as AWS does.

    Succeed has an Output, Choice a default Output, conditions are true or false. The emulator passes the input of
    Succeed on, forgets the Output of a Choice without a matching rule, takes any value for a condition, and lets one
    member of an Assign see what another has just set.
    """
    emulator("services.stepfunctions", "_state_query_language", "_apply_jsonata_output", "_apply_jsonata_template")
    emulator("services.stepfunctions", "_ExecutionError")
    replace("services.stepfunctions", "_apply_output_path", ("state_def", "data", "ctx"), _output_of_succeed)
    replace("services.stepfunctions", "_execute_choice", ("state_def", "raw_input", "ctx"), _output_of_default)
    replace("services.stepfunctions", "_evaluate_jsonata_choice_rule", ("rule", "raw_input", "ctx"), _true_or_false)
    replace(
        "services.stepfunctions",
        "_apply_state_assign",
        ("state_def", "raw_input", "ctx", "result", "error_output"),
        _assigned_at_once,
    )


def _output_of_succeed(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def apply_output_path(state_def: State, data: Any, ctx: State | None = None) -> Any:
        if state_def.get("Type") == "Succeed" and states._state_query_language(state_def, ctx) == "JSONata":
            return states._apply_jsonata_output(state_def, data, ctx, default=data)
        return original(state_def, data, ctx)

    return apply_output_path


def _output_of_default(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def execute_choice(state_def: State, raw_input: Any, ctx: State | None = None) -> Any:
        jsonata = states._state_query_language(state_def, ctx) == "JSONata"
        if not jsonata or "Output" not in state_def or "Default" not in state_def:
            return original(state_def, raw_input, ctx)
        # No rule of the state can name this object, so if it comes back, the default was taken.
        default = object()
        output, following = original({**state_def, "Default": default}, raw_input, ctx)
        if following is not default:
            return output, following
        return states._apply_jsonata_output(state_def, raw_input, ctx), state_def["Default"]

    return execute_choice


def _true_or_false(_original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def evaluate_jsonata_choice_rule(rule: State, raw_input: Any, ctx: State | None) -> bool:
        value = states._apply_jsonata_template(rule.get("Condition"), raw_input, ctx)
        if not isinstance(value, bool):
            raise states._ExecutionError(
                "States.QueryEvaluationError",
                "The JSONata expression specified for the field 'Condition' returned an unexpected result type. "
                f"Expected 'boolean', but was the value: {json.dumps(value)}",
            )
        return value

    return evaluate_jsonata_choice_rule


def _assigned_at_once(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_state_assign(
        state_def: State, raw_input: Any, ctx: State | None, result: Any = None, error_output: Any = None
    ) -> None:
        if ctx is None or not isinstance(state_def.get("Assign"), dict):
            return
        before = ctx.get("variables", {})
        assigned: State = {}
        for name, template in state_def["Assign"].items():
            scope = {**ctx, "variables": dict(before)}
            original({**state_def, "Assign": {name: template}}, raw_input, scope, result, error_output)
            assigned.update({name: scope["variables"][name]} if name in scope["variables"] else {})
        ctx.setdefault("variables", {}).update(assigned)

    return apply_state_assign


def install_retries() -> None:
    """Wait between retries as the Amazon States Language says, and exclude two errors from States.ALL.

    The emulator knows neither MaxDelaySeconds nor JitterStrategy, and cuts every pause to a minute. The wait is made in
    the choice of the retrier, where everything that it needs is known.
    """
    emulator("services.stepfunctions", "_scaled_sleep")
    replace("services.stepfunctions", "_error_matches", ("error_equals", "error"), _without_those)
    replace(
        "services.stepfunctions", "_find_matching_retrier", ("retriers", "error", "retry_counts"), _waiting_as_asked
    )


def delay(retrier: dict[str, Any], retries: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds before the next try, after `retries` retries by this retrier."""
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


def _without_those(original: Callable[..., Any]) -> Callable[..., Any]:
    def error_matches(error_equals: list[str], error: str) -> Any:
        if error in _NOT_RETRIED:
            error_equals = [name for name in error_equals if name not in _WILDCARDS]
        return original(error_equals, error)

    return error_matches
