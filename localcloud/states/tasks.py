"""Tasks: what a Task state's Resource does, as the state machine's role, within AWS's limits, told in the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace
from localcloud.states.calls import Document, as_text, failure
from localcloud.states.execution import Execution, current, task_with_a_limit
from localcloud.states.invoke import invoke
from localcloud.states.jobs import JobTask
from localcloud.states.publish import publish

PREFIX = "arn:aws:states:::"
_LIMIT_BYTES = 262_144
_CALLS = {"lambda:invoke": invoke, "sns:publish": publish}
_TASK_PARAMETERS = ("state_def", "raw_input", "execution", "ctx")


class Tasks:
    """The service integrations that there are."""

    def __init__(self, job_tasks: dict[str, JobTask], endpoint: str):
        """`job_tasks` by the action, `createTrainingJob`; `endpoint` is where services are called."""
        self._jobs = {f"sagemaker:{action}": task for action, task in job_tasks.items()}
        self._endpoint = endpoint

    def install(self) -> None:
        """Take over the invocation of every task."""
        emulator("services.stepfunctions", "_ExecutionError", "_add_event", "_apply_jsonata_template")
        parameters = ("resource", "input_data")
        replace("services.stepfunctions", "_execute_task", _TASK_PARAMETERS, _with_a_computed_limit)
        replace("services.stepfunctions", "_invoke_resource", parameters, self._invoked)
        replace("services.stepfunctions", "_invoke_resource_with_timeout", (*parameters, "timeout"), _stopped_late)

    def _invoked(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def invoke_resource(resource: str, input_data: Any) -> Any:
            execution = current()
            if execution is None:
                return original(resource, input_data)
            _check_size(input_data, "input")
            try:
                result = self._run(execution, resource, input_data)
            finally:
                execution.check()  # what fails or comes too late because the execution has ended is of no use
            _check_size(result, "result")
            return result

        return invoke_resource

    def _run(self, execution: Execution, resource: str, arguments: Document) -> Document:
        def tell(event: str, **details: Any) -> None:
            member = f"{event[0].lower()}{event[1:]}EventDetails"
            add_event = emulator("services.stepfunctions")._add_event
            add_event(execution.record, event, {member: {"resource": resource, **details}})

        execution.check()
        tell("TaskStarted")
        action = resource.removeprefix(PREFIX)
        job = self._jobs.get(action.removesuffix(".sync"))
        if action in _CALLS:
            return _CALLS[action](execution, arguments, self._endpoint)
        if job is None:
            known = ", ".join(sorted([*_CALLS, *self._jobs]))
            raise failure("States.Runtime", f"{resource} is no task that this local cloud runs. It runs {known}.")
        if action.endswith(".sync"):
            return job.run(execution, arguments, lambda answer: tell("TaskSubmitted", output=as_text(answer)))
        return job.start(execution, arguments)


def _check_size(document: Any, what: str) -> None:
    size = len(as_text(document).encode())
    if size > _LIMIT_BYTES:
        raise failure(
            "States.DataLimitExceeded",
            f"The task's {what} has {size} bytes, more than the {_LIMIT_BYTES} that Step Functions passes on.",
        )


def _with_a_computed_limit(original: Callable[..., Any]) -> Callable[..., Any]:
    """TimeoutSeconds may be a JSONata expression, which the emulator takes for a number."""

    def execute_task(state_def: Document, raw_input: Any, execution: Document, ctx: Document) -> Any:
        limit = state_def.get("TimeoutSeconds")
        if isinstance(limit, str):
            evaluate = emulator("services.stepfunctions")._apply_jsonata_template
            state_def = {**state_def, "TimeoutSeconds": evaluate(limit, raw_input, ctx)}
        return original(state_def, raw_input, execution, ctx)

    return execute_task


def _stopped_late(original: Callable[..., Any]) -> Callable[..., Any]:
    """A task that runs longer than its TimeoutSeconds also stops the job that it has started."""

    def invoke_resource_with_timeout(resource: str, input_data: Any, timeout: float) -> Any:
        with task_with_a_limit():
            return original(resource, input_data, timeout)

    return invoke_resource_with_timeout
