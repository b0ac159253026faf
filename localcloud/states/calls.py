"""Calls of AWS services as the state machine's role, with the error names that Step Functions gives to refusals."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape

from localcloud.patches.patching import emulator
from localcloud.states.execution import Execution

Document = dict[str, Any]
# The prefix of error names, the name of any error that the service's model does not know, and the service's own name.
_NAMES = {
    "lambda": ("Lambda", "AWSLambdaException", "AWSLambda"),
    "sns": ("SNS", "AmazonSNSException", "AmazonSNS"),
    "sagemaker": ("SageMaker", "AmazonSageMakerException", "AmazonSageMaker"),
}
# A function runs for 15 minutes at most. Retrying is the state machine's business.
_CONFIGURATION: dict[str, Any] = {
    "read_timeout": 930,
    "retries": {"total_max_attempts": 1},
    "parameter_validation": False,  # the service itself says what is wrong, as on AWS
}


class Service:
    """One service, called with the session of an execution's role."""

    def __init__(self, name: str, execution: Execution, endpoint: str):
        self._name = name
        self._client = execution.session.client(name, endpoint, **_CONFIGURATION)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def call(self, operation: str, request: Document) -> Document:
        """Call an operation, `create_training_job`; raise the emulator's execution error when it is refused."""
        _check_members(self._name, operation, request)
        prefix, unknown, service = _NAMES[self._name]
        try:
            answer: Document = getattr(self._client, operation)(**whole_numbers(request))
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            cause = f"{message} (Service: {service}; Status Code: {status}; Error Code: {code}; Proxy: null)"
            raise failure(f"{prefix}.{_error_names(self._name).get(code, unknown)}", cause) from error
        answer.pop("ResponseMetadata", None)
        return answer


def failure(error: str, cause: str) -> Exception:
    """The exception by which a task fails in the emulator's interpreter."""
    raised: Exception = emulator("services.stepfunctions", "_ExecutionError")._ExecutionError(error, cause)
    return raised


def in_json(value: Any) -> Any:
    """An SDK's answer as Step Functions writes it into the state's result: times are epoch milliseconds."""
    if isinstance(value, dict):
        return {key: in_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [in_json(member) for member in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def whole_numbers(value: Any) -> Any:
    """JSON has one kind of number: what JSONata has computed as 3.0 is the integer 3 to a service."""
    if isinstance(value, dict):
        return {key: whole_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [whole_numbers(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_text(value: Any) -> str:
    """A document as one line of JSON."""
    return json.dumps(value, separators=(",", ":"))


def _check_members(service: str, operation: str, request: Document) -> None:
    """Raise States.Runtime for a member that the request does not have, which Step Functions refuses itself."""
    model = _model(service)
    (name,) = [name for name in model.operation_names if xform_name(name) == operation]
    for member in _unknown_members(model.operation_model(name).input_shape, request, ""):
        raise failure("States.Runtime", f'The field "{member}" is not supported by Step Functions in {name}.')


def _unknown_members(shape: Shape, value: Any, where: str) -> Iterator[str]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, member in value.items():
            if name not in shape.members:
                yield f"{where}{name}"
            else:
                yield from _unknown_members(shape.members[name], member, f"{where}{name}.")
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for member in value:
            yield from _unknown_members(shape.member, member, where)


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def _error_names(service: str) -> dict[str, str]:
    """Exception names, as the SDK that Step Functions uses has them, by the error codes in the service's model."""
    shapes = _model(service).error_shapes
    return {shape.error_code: f"{shape.name.removesuffix('Exception')}Exception" for shape in shapes}
