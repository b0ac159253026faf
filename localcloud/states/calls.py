"""Calls of AWS services with the state machine's role, and the error names of Step Functions for refusals."""

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
# The prefix of error names, the name of an error that the service's model lacks, and the name of the service.
_NAMES = {
    "lambda": ("Lambda", "AWSLambdaException", "AWSLambda"),
    "sns": ("SNS", "AmazonSNSException", "AmazonSNS"),
    "sagemaker": ("SageMaker", "AmazonSageMakerException", "AmazonSageMaker"),
}
# A function runs for 15 minutes at most. The state machine itself retries.
_CONFIGURATION: dict[str, Any] = {
    "read_timeout": 930,
    "retries": {"total_max_attempts": 1},
    "parameter_validation": False,  # the service itself says what is wrong, as on AWS
}


class Service:
    """A service, called with the session of an execution's role."""

    def __init__(self, name: str, execution: Execution, endpoint: str):
        self._name = name
        self._client = execution.session.client(name, endpoint, **_CONFIGURATION)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def call(self, operation: str, request: Document) -> Document:
        """Call an operation such as `create_training_job`; raise an execution error if it is refused."""
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
    """Return the exception that fails a task in the emulator's interpreter."""
    raised: Exception = emulator("services.stepfunctions", "_ExecutionError")._ExecutionError(error, cause)
    return raised


def in_json(value: Any) -> Any:
    """Return an SDK's answer as Step Functions writes it into a state's result: times are epoch milliseconds."""
    if isinstance(value, dict):
        return {key: in_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [in_json(member) for member in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def whole_numbers(value: Any) -> Any:
    """Return a document with whole floats as integers: JSONata computes 3.0 where a service expects 3."""
    if isinstance(value, dict):
        return {key: whole_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [whole_numbers(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_text(value: Any) -> str:
    """Return a document as one line of JSON."""
    return json.dumps(value, separators=(",", ":"))


def _check_members(service: str, operation: str, request: Document) -> None:
    """Raise States.Runtime for a member that the operation does not have, as Step Functions does."""
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
    """Return the exception names of Step Functions' SDK by the error codes of the service's model."""
    shapes = _model(service).error_shapes
    return {shape.error_code: f"{shape.name.removesuffix('Exception')}Exception" for shape in shapes}
