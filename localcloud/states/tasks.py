"""Tasks: what a Task state's Resource does, with the state machine's role, AWS's limits, and entries in the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.patches.patching import emulator, replace
from localcloud.states.calls import Document, Service, as_text, failure
from localcloud.states.execution import Execution, current, task_with_a_limit
from localcloud.states.jobs import JobTask

PREFIX = "arn:aws:states:::"
_LIMIT_BYTES = 262_144
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")
_TASK_PARAMETERS = ("state_def", "raw_input", "execution", "ctx")


def invoke(execution: Execution, arguments: Document, endpoint: str) -> Document:
    """`lambda:invoke`: return `{"StatusCode", "ExecutedVersion", "Payload"}`; fail with the function's error name."""
    payload = as_text(arguments.get("Payload", {})).encode()
    with Service("lambda", execution, endpoint) as functions:
        answer = functions.call("invoke", {**arguments, "Payload": payload})
        body = answer.pop("Payload").read()
    document = json.loads(body) if body else None
    if answer.pop("FunctionError", None):
        kind = document.get("errorType") if isinstance(document, dict) else None
        raise failure(kind or "Lambda.Unknown", as_text(document))
    return {**answer, "Payload": document}


def publish(execution: Execution, arguments: Document, endpoint: str) -> Document:
    """`sns:publish`: publish a Message, a document as JSON, and return `{"MessageId"}`."""
    message = arguments.get("Message", "")
    request = {**arguments, "Message": message if isinstance(message, str) else as_text(message)}
    with Service("sns", execution, endpoint) as topics:
        _check_key(execution, str(arguments.get("TopicArn", "")))
        return topics.call("publish", request)


def _check_key(execution: Execution, topic_arn: str) -> None:
    """Raise an execution error if the role may not use the key that encrypts the topic's messages."""
    topic = emulator("services.sns", "_topics")._topics.get(topic_arn)
    key = topic["attributes"].get("KmsMasterKeyId") if topic else None
    if not key or str(key).startswith("alias/aws/"):
        return
    arn = key if str(key).startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT_ID}:key/{key}"
    enforce = emulator("core.iam_evaluator", "enforce").enforce
    for action in _KEY_ACTIONS:
        denied = enforce(execution.session.access_key, action, "kms", REGION, resource_arn=arn)
        if denied is not None:
            role = getattr(denied, "principal_arn", "The role")
            cause = f"{role} is not authorized to perform: {action} on resource: {arn} (Service: AmazonSNS)"
            raise failure("SNS.KMSAccessDeniedException", cause)


_CALLS = {"lambda:invoke": invoke, "sns:publish": publish}


class Tasks:
    """The service integrations."""

    def __init__(self, job_tasks: dict[str, JobTask], endpoint: str):
        """Take `job_tasks` by action, such as `createTrainingJob`; call services at `endpoint`."""
        self._jobs = {f"sagemaker:{action}": task for action, task in job_tasks.items()}
        self._endpoint = endpoint

    def install(self) -> None:
        """Replace the invocation of every task."""
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
                execution.check()  # a result or failure after the execution's end is of no use
            _check_size(result, "result")
            return result

        return invoke_resource

    def _run(self, execution: Execution, resource: str, arguments: Document) -> Document:
        def add(event: str, **details: Any) -> None:
            member = f"{event[0].lower()}{event[1:]}EventDetails"
            add_event = emulator("services.stepfunctions")._add_event
            add_event(execution.record, event, {member: {"resource": resource, **details}})

        execution.check()
        add("TaskStarted")
        action = resource.removeprefix(PREFIX)
        job = self._jobs.get(action.removesuffix(".sync"))
        if action in _CALLS:
            return _CALLS[action](execution, arguments, self._endpoint)
        if job is None:
            known = ", ".join(sorted([*_CALLS, *self._jobs]))
            raise failure("States.Runtime", f"{resource} is no task that this local cloud runs. It runs {known}.")
        if action.endswith(".sync"):
            return job.run(execution, arguments, lambda answer: add("TaskSubmitted", output=as_text(answer)))
        return job.start(execution, arguments)


def _check_size(document: Any, what: str) -> None:
    size = len(as_text(document).encode())
    if size > _LIMIT_BYTES:
        raise failure(
            "States.DataLimitExceeded",
            f"The task's {what} has {size} bytes, more than the {_LIMIT_BYTES} that Step Functions passes on.",
        )


def _with_a_computed_limit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate TimeoutSeconds if it is a JSONata expression, which the emulator takes for a number."""

    def execute_task(state_def: Document, raw_input: Any, execution: Document, ctx: Document) -> Any:
        limit = state_def.get("TimeoutSeconds")
        if isinstance(limit, str):
            evaluate = emulator("services.stepfunctions")._apply_jsonata_template
            state_def = {**state_def, "TimeoutSeconds": evaluate(limit, raw_input, ctx)}
        return original(state_def, raw_input, execution, ctx)

    return execute_task


def _stopped_late(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a task that runs longer than its TimeoutSeconds stop the job that it has started."""

    def invoke_resource_with_timeout(resource: str, input_data: Any, timeout: float) -> Any:
        with task_with_a_limit():
            return original(resource, input_data, timeout)

    return invoke_resource_with_timeout
