"""What IAM checks besides the operation: tags that are added, a role that is passed, a resource that is used."""

from __future__ import annotations

import json
from typing import Any

from localcloud.account import REGION
from localcloud.patches.patching import emulator
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.store import Record, resource_arn

_PASSED_TO = {"iam:passedtoservice": "sagemaker.amazonaws.com"}
_RESOURCES = {
    "TransformJob": ("transform-job", "TransformJobName"),
    "TrainingJob": ("training-job", "TrainingJobName"),
    "ProcessingJob": ("processing-job", "ProcessingJobName"),
    "Model": ("model", "ModelName"),
    "EndpointConfig": ("endpoint-config", "EndpointConfigName"),
    "Endpoint": ("endpoint", "EndpointName"),
    "ModelPackageGroup": ("model-package-group", "ModelPackageGroupName"),
}
# Operations that must also be allowed on the resource that they use.
_USED = {
    "CreateTransformJob": ("model", "ModelName"),
    "CreateEndpoint": ("endpoint-config", "EndpointConfigName"),
}
_VERBS = ("Create", "Describe", "Stop", "Delete", "Invoke")


def resource_of(operation: str, request: Record) -> str:
    """Return the ARN of the resource of a request, for IAM; `*` for lists."""
    if operation.startswith("List") and operation != "ListTags":
        return "*"
    noun = next((operation.removeprefix(verb) for verb in _VERBS if operation.startswith(verb)), operation)
    if noun in _RESOURCES:
        resource, member = _RESOURCES[noun]
        return resource_arn(resource, str(request.get(member, "*")))
    if operation == "CreateModelPackage":
        return resource_arn("model-package", str(request.get("ModelPackageGroupName", "*"))) + "/*"
    arn = request.get("ResourceArn") or request.get("ModelPackageArn") or request.get("ModelPackageName") or "*"
    return str(arn)


def conditions_of(operation: str, request: Record) -> dict[str, str]:
    """What a request says of itself to the conditions of policies, by IAM's condition key in lower case."""
    if operation != "CreateModel":
        return {}
    return {"sagemaker:networkisolation": str(bool(request.get("EnableNetworkIsolation"))).lower()}


def authorize(operation: str, request: Record, access_key: str) -> None:
    """Raise AccessDeniedException unless the caller may do what the request does besides its operation."""
    checks: list[tuple[str, str, str, dict[str, Any]]] = []
    if request.get("Tags") and operation.startswith("Create"):
        checks.append(("sagemaker:AddTags", "sagemaker", resource_of(operation, request), {}))
    role = request.get("ExecutionRoleArn") or request.get("RoleArn")
    if role and operation.startswith("Create"):
        checks.append(("iam:PassRole", "iam", role, _PASSED_TO))
    if operation in _USED:
        resource, member = _USED[operation]
        used = resource_arn(resource, str(request.get(member, "*")))
        checks.append((f"sagemaker:{operation}", "sagemaker", used, {}))
    enforce = emulator("core.iam_evaluator", "enforce").enforce
    for action, service, arn, context in checks:
        denied = enforce(access_key, action, service, REGION, resource_arn=arn, service_context=context)
        if denied is not None:
            caller = getattr(denied, "principal_arn", access_key)
            raise ServiceError(
                "AccessDeniedException", f"User: {caller} is not authorized to perform: {action} on resource: {arn}"
            )


def decoded(body: bytes) -> Record:
    """Return the request document; {} for a body that is not a JSON object, which the service then refuses."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
