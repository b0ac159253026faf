"""The runtime API, InvokeEndpoint: pass the body to the endpoint's container, and return the container's answer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.containers.container import InvocationError
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.hosting import log_group
from localcloud.sagemaker.store import Record

_PATH = re.compile(r"/endpoints/([^/]+)/invocations/?")
_MEGABYTE = 1024 * 1024
_INSTANCE_MB = 25
_SERVERLESS_MB = 4
_SECONDS = 60.0
_NO_STATUS = 0  # the status that SageMaker reports if the container did not answer
# Headers of the API that change nothing here; every other header requests a missing feature.
_HARMLESS = frozenset({"x-amzn-sagemaker-inference-id"})


def invoked_endpoint(method: str, path: str) -> str | None:
    """Return the name of the endpoint that a request invokes; None if it invokes none."""
    match = _PATH.fullmatch(path)
    return match[1] if match and method == "POST" else None


def invoke(endpoints: Endpoints, name: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """InvokeEndpoint: return the headers and the body of the answer; raise ServiceError with the runtime's codes."""
    serving = endpoints.serving(name)
    if serving is None:
        raise _refused(f"Endpoint {name} of account {ACCOUNT_ID} not found.")
    variant, container = serving
    _check_request(variant, headers, body)
    try:
        answer = container.post(
            body,
            content_type=headers.get("content-type", "application/octet-stream"),
            accept=headers.get("accept", "*/*"),
            timeout=_SECONDS,
        )
    except InvocationError as error:
        raise _model_error(name, _NO_STATUS, str(error)) from error
    if not answer.is_success:
        raise _model_error(name, answer.status_code, answer.text)
    # In lower case, since the emulator rewrites a `Content-Type` of JSON to that of SageMaker's other operations.
    return {
        "content-type": answer.headers.get("content-type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant["VariantName"],
    }, answer.content


def _check_request(variant: Record, headers: Mapping[str, str], body: bytes) -> None:
    """Raise a ValidationError for a body that is too large, or a header that this service does not support."""
    kind, limit = ("serverless", _SERVERLESS_MB) if "ServerlessConfig" in variant else ("real-time", _INSTANCE_MB)
    if len(body) > limit * _MEGABYTE:
        raise _refused(f"The body has {len(body)} bytes, but {kind} endpoints take {limit} MB at most.")
    unknown = sorted(header for header in headers if header.startswith("x-amzn-sagemaker-") and header not in _HARMLESS)
    if unknown:
        raise _refused(f"The header {unknown[0]} is not supported here: an endpoint is one container with one model.")


def _refused(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)


def _model_error(name: str, status: int, message: str) -> ServiceError:
    blamed = "client" if 400 <= status < 500 else "server"
    group = log_group(name)
    logs = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logEventViewer:group={group}"
    return ServiceError(
        "ModelError",
        f'Received {blamed} error ({status}) from primary with message "{message}". '
        f"See {logs} in account {ACCOUNT_ID} for more information.",
        status=424,
        members={
            "OriginalStatusCode": status,
            "OriginalMessage": message,
            "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{group}",
        },
    )
