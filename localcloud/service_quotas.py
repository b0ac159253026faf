"""Service Quotas: ListServiceQuotas, ListAWSDefaultServiceQuotas and GetServiceQuota of SageMaker's instance quotas.

Shapes and error names are those of botocore's model of service-quotas (2019-06-24).
"""

from __future__ import annotations

import json
from typing import Any

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.patches.patching import emulator
from localcloud.sagemaker.authorization import decoded
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.quotas import Quotas, code_of

_NAME = "servicequotas"
_SERVICE = "sagemaker"
_PAGE = 100
_CONTENT_TYPE = "application/x-amz-json-1.1"
Document = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]


def install(quotas: Quotas) -> None:
    """Register the service in the emulator's tables of services."""
    app = emulator("app", "SERVICE_REGISTRY", "SERVICE_HANDLERS")
    app.SERVICE_REGISTRY[_NAME] = {"module": _NAME}
    app.SERVICE_HANDLERS[_NAME] = _Handler(quotas)
    emulator("core.router", "SERVICE_PATTERNS").SERVICE_PATTERNS[_NAME] = {
        "target_prefixes": ["ServiceQuotasV20190624."]
    }
    emulator("core.iam_actions", "SERVICE_TO_IAM_NAMESPACE").SERVICE_TO_IAM_NAMESPACE[_NAME] = _NAME


class _Handler:
    def __init__(self, quotas: Quotas):
        self._quotas = quotas

    async def __call__(self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: Any) -> Response:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            answer = json.dumps(answered(self._quotas, operation, decoded(body))).encode()
            return 200, {"Content-Type": _CONTENT_TYPE}, answer
        except ServiceError as error:
            document = {"__type": error.code, "Message": error.message}
            refused = {"content-type": _CONTENT_TYPE, "x-amzn-errortype": error.code}
            return error.status, refused, json.dumps(document).encode()


def answered(quotas: Quotas, operation: str, request: Document) -> Document:
    """Return the answer of one operation; raise ServiceError if it is refused."""
    if operation not in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas", "GetServiceQuota"):
        raise ServiceError("UnknownOperationException", f"This local Service Quotas has no {operation}.")
    if request.get("ServiceCode") != _SERVICE:
        raise ServiceError("NoSuchResourceException", "The request failed because the specified service doesn't exist.")
    values = quotas.defaults() if operation == "ListAWSDefaultServiceQuotas" else quotas.all()
    wanted = request.get("QuotaCode")
    found = [_quota(name, value) for name, value in values.items() if wanted in (None, code_of(name))]
    if operation != "GetServiceQuota":
        return _page(found, request)
    if wanted is None or not found:
        raise ServiceError("NoSuchResourceException", "The request failed because the specified quota doesn't exist.")
    return {"Quota": found[0]}


def _page(found: list[Document], request: Document) -> Document:
    token = request.get("NextToken") or "0"
    if not token.isdecimal():
        raise ServiceError("InvalidPaginationTokenException", "Invalid input was provided.")
    start, size = int(token), min(int(request.get("MaxResults") or _PAGE), _PAGE)
    rest = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {"Quotas": found[start : start + size], **rest}


def _quota(name: str, value: int) -> Document:
    code = code_of(name)
    return {
        "ServiceCode": _SERVICE,
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{REGION}:{ACCOUNT_ID}:{_SERVICE}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }
