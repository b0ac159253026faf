"""JSONata states say what AWS says: Succeed has an Output, Choice a default Output, conditions are true or false.

The emulator passes the input of Succeed on, forgets the Output of a Choice whose rules all failed, takes any value for
a condition, and lets one member of an Assign see what another has just set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

State = dict[str, Any]


def install() -> None:
    """Wrap what evaluates these members."""
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
        # No rule of the state's own is named so: whatever comes back from it is the default.
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
