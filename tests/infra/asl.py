"""Walk a JSONata state machine as Step Functions does, without retries and with given answers of services."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonata


class TaskError(Exception):
    def __init__(self, error: str, cause: str | None = None) -> None:
        super().__init__(error)
        self.output = {"Error": error} | ({} if cause is None else {"Cause": cause})


@dataclass
class Execution:
    """What happened: the states in order, the arguments of each task, and the end."""

    entered: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    status: str = "RUNNING"
    output: Any = None
    error: str = ""
    cause: str = ""


def parse(expression: str) -> jsonata.Jsonata:
    """Parse an expression, with the function of Step Functions that the definition uses."""
    parsed = jsonata.Jsonata.jsonata(expression)
    parsed.register_lambda("hash", _hash)
    return parsed


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """Return the value of an expression; fail when it has none, as Step Functions does."""
    assert parse(f"$exists(({expression}))").evaluate(None, variables), f"undefined: {expression}"
    return parse(expression).evaluate(None, variables)


def _hash(text: str, algorithm: str) -> str:
    return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()


def is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}")


def expressions(value: Any) -> Iterator[str]:
    """Yield every expression of a definition."""
    if is_expression(value):
        yield value[2:-2].strip()
    elif isinstance(value, dict):
        for one in value.values():
            yield from expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one)


def render(template: Any, variables: dict[str, Any]) -> Any:
    if is_expression(template):
        return evaluate(template[2:-2].strip(), variables)
    if isinstance(template, dict):
        return {key: render(one, variables) for key, one in template.items()}
    if isinstance(template, list):
        return [render(one, variables) for one in template]
    return template


def run(
    definition: dict[str, Any],
    name: str,
    execution_input: Any,
    perform: Callable[[str, Any], Any],
    *,
    retry_count: int = 0,
) -> Execution:
    """Walk the definition; ``perform(state, arguments)`` returns a task's answer or raises TaskError."""
    execution = Execution()
    variables: dict[str, Any] = {}
    current, data = definition["StartAt"], execution_input
    while current:
        state = definition["States"][current]
        execution.entered.append(current)
        context = {"Execution": {"Name": name, "Input": execution_input}, "State": {"RetryCount": retry_count}}
        scope = variables | {"states": {"input": data, "context": context}}
        if state["Type"] == "Fail":
            execution.status = "FAILED"
            execution.error, execution.cause = render([state["Error"], state["Cause"]], scope)
            return execution
        if state["Type"] == "Task":
            data, current = _perform(state, current, scope, variables, perform, execution)
        elif state["Type"] == "Choice":
            met = (one for one in state["Choices"] if _is_met(one["Condition"], scope))
            current = next(met, {"Next": state["Default"]})["Next"]
        else:
            variables.update(render(state.get("Assign", {}), scope))
            current = state.get("Next", "")
    execution.status, execution.output = "SUCCEEDED", data
    return execution


def _is_met(condition: str, scope: dict[str, Any]) -> bool:
    value = render(condition, scope)
    assert isinstance(value, bool), f"{condition} is {value!r}: Step Functions fails the execution there"
    return value


def _perform(
    state: dict[str, Any],
    name: str,
    scope: dict[str, Any],
    variables: dict[str, Any],
    perform: Callable[[str, Any], Any],
    execution: Execution,
) -> tuple[Any, str]:
    execution.arguments[name] = render(state["Arguments"], scope)
    try:
        result = perform(name, execution.arguments[name])
    except TaskError as error:
        (catcher,) = state["Catch"]
        known = scope | {"states": scope["states"] | {"errorOutput": error.output}}
        variables.update(render(catcher.get("Assign", {}), known))
        return render(catcher.get("Output", error.output), known), catcher["Next"]
    known = scope | {"states": scope["states"] | {"result": result}}
    output = render(state.get("Output", result), known)
    variables.update(render(state.get("Assign", {}), known))
    return output, state.get("Next", "")
