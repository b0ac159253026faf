"""Install SageMaker in the emulator: API routing, IAM, persistence, and CloudFormation's resource types."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace
from localcloud.sagemaker.authorization import authorize, conditions_of, decoded, resource_of
from localcloud.sagemaker.cloudformation import ResourceType
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.invocations import invoked_endpoint
from localcloud.sagemaker.service import SageMaker
from localcloud.sagemaker.store import Record

_NAME = "sagemaker"
_INVOKE = "InvokeEndpoint"
_CONTENT_TYPE = "application/x-amz-json-1.1"
_ACTION_PARAMETERS = ("service", "method", "path", "headers", "body", "query_params")
_CONDITION_PARAMETERS = ("service", "iam_action", "body", "params")
_ARN_PARAMETERS = (*_ACTION_PARAMETERS, "region", "account_id")
Response = tuple[int, dict[str, str], bytes]


def install(service: SageMaker) -> None:
    """Register the service in every table of services that the emulator has."""
    app = emulator("app", "SERVICE_REGISTRY", "SERVICE_HANDLERS", "_state_map", "_loaded_modules")
    app.SERVICE_REGISTRY[_NAME] = {"module": _NAME}
    app.SERVICE_HANDLERS[_NAME] = _handler(service)
    app._state_map[_NAME] = _NAME
    app._loaded_modules[_NAME] = _module(service)
    router = emulator("core.router", "SERVICE_PATTERNS")
    router.SERVICE_PATTERNS[_NAME] = {"target_prefixes": ["SageMaker."]}
    emulator("core.iam_actions", "SERVICE_TO_IAM_NAMESPACE").SERVICE_TO_IAM_NAMESPACE[_NAME] = _NAME
    replace("core.iam_actions", "extract_iam_action", _ACTION_PARAMETERS, _with_our_actions)
    replace("core.iam_actions", "extract_resource_arn", _ARN_PARAMETERS, _with_our_resources)
    replace("core.iam_actions", "request_tag_context", _CONDITION_PARAMETERS, _with_our_conditions)
    handlers = emulator("services.cloudformation.provisioners", "_RESOURCE_HANDLERS")._RESOURCE_HANDLERS
    for noun in ("ModelPackageGroup", "Model"):
        handlers[f"AWS::SageMaker::{noun}"] = ResourceType(service, noun).handlers()


def _module(service: SageMaker) -> types.ModuleType:
    """Return a module with the state of the service, as the emulator expects of a service."""
    module = types.ModuleType(f"ministack.services.{_NAME}", "SageMaker, installed by localcloud.")
    module.get_state = service.dump  # type: ignore[attr-defined]
    module.load_persisted_state = service.load  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    return module


def _handler(service: SageMaker) -> Callable[..., Any]:
    run_reentrant = emulator("core.concurrency", "run_reentrant").run_reentrant
    access_key_of = emulator("core.router", "extract_access_key_id").extract_access_key_id

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        endpoint = invoked_endpoint(method, path)
        # On a thread, since the service reads S3 through this server, and containers are slow.
        answer: Response = (
            await run_reentrant(_answer, service, _operation(headers), body, access_key_of(headers, query))
            if endpoint is None
            else await run_reentrant(_invoked, service, endpoint, headers, body)
        )
        return answer

    return handle_request


def _operation(headers: dict[str, str]) -> str:
    return headers.get("x-amz-target", "").rpartition(".")[2]


def _answer(service: SageMaker, operation: str, body: bytes, access_key: str) -> Response:
    try:
        request = decoded(body)
        authorize(operation, request, access_key)
        return 200, {"Content-Type": _CONTENT_TYPE}, json.dumps(service.perform(operation, request)).encode()
    except ServiceError as error:
        return _refusal(error, _CONTENT_TYPE, {"__type": error.code, "message": error.message})


def _invoked(service: SageMaker, endpoint: str, headers: dict[str, str], body: bytes) -> Response:
    try:
        return 200, *service.invoke_endpoint(endpoint, headers, body)
    except ServiceError as error:
        return _refusal(error, "application/json", {"Message": error.message, **error.members})


def _refusal(error: ServiceError, content_type: str, document: Record) -> Response:
    headers = {"content-type": content_type, "x-amzn-errortype": error.code}
    return error.status, headers, json.dumps(document).encode()


def _with_our_actions(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return an extractor by which IAM checks the operation that is performed, whatever else a request looks like."""

    def extract_iam_action(service: str, *arguments: Any, **options: Any) -> Any:
        if service != _NAME:
            return original(service, *arguments, **options)
        method, path, headers, *_rest = arguments
        operation = _operation(headers) if invoked_endpoint(method, path) is None else _INVOKE
        return f"{_NAME}:{operation}" if operation else None

    return extract_iam_action


def _with_our_resources(original: Callable[..., Any]) -> Callable[..., Any]:
    def extract_resource_arn(service: str, *arguments: Any, **options: Any) -> Any:
        if service != _NAME:
            return original(service, *arguments, **options)
        method, path, headers, body, *_rest = arguments
        endpoint = invoked_endpoint(method, path)
        if endpoint is not None:
            return resource_of(_INVOKE, {"EndpointName": endpoint})
        return resource_of(_operation(headers), decoded(body))

    return extract_resource_arn


def _with_our_conditions(original: Callable[..., Any]) -> Callable[..., Any]:
    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> Any:
        found = original(service, iam_action, body, params)
        if service != _NAME:
            return found
        return found | conditions_of(iam_action.partition(":")[2], decoded(body))

    return request_tag_context
