"""The fields that Step Functions knows in the arguments of a service integration; it refuses a definition with others.

The model of the service's own API is wider. Step Functions' answer to CreateStateMachine, and where it was seen:
aws-step-functions-data-science-sdk-python#200 (InvalidDefinition, SCHEMA_VALIDATION_FAILED, "/States/.../Parameters"),
aws-cdk#10014. A field is in the lists below with one of these sources:

- the Step Functions Developer Guide of 2023, "Manage SageMaker", "Invoke Lambda" and "Call Amazon SNS": the supported
  parameters of each call;
- definitions that ran on AWS: CheckpointConfig (data-science-sdk#86), EnableManagedSpotTraining (#42);
- tasks of the CDK: EnableNetworkIsolation, Environment (SageMakerCreateTrainingJob).

Nothing shows whether EnableInterContainerTrafficEncryption is known. It is accepted. Fields below the first level are
not checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_PREFIX = "arn:aws:states:::"
_KNOWN = {
    "sagemaker:createTrainingJob": frozenset(
        {
            "AlgorithmSpecification",
            "CheckpointConfig",
            "EnableInterContainerTrafficEncryption",
            "EnableManagedSpotTraining",
            "EnableNetworkIsolation",
            "Environment",
            "HyperParameters",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "RoleArn",
            "StoppingCondition",
            "Tags",
            "TrainingJobName",
            "VpcConfig",
        }
    ),
    "sagemaker:createProcessingJob": frozenset(
        {
            "AppSpecification",
            "Environment",
            "ExperimentConfig",
            "NetworkConfig",
            "ProcessingInputs",
            "ProcessingJobName",
            "ProcessingOutputConfig",
            "ProcessingResources",
            "RoleArn",
            "StoppingCondition",
            "Tags",
        }
    ),
    "sagemaker:createTransformJob": frozenset(
        {
            "BatchStrategy",
            "Environment",
            "MaxConcurrentTransforms",
            "MaxPayloadInMB",
            "ModelName",
            "Tags",
            "TransformInput",
            "TransformJobName",
            "TransformOutput",
            "TransformResources",
        }
    ),
    "lambda:invoke": frozenset({"ClientContext", "FunctionName", "InvocationType", "Payload", "Qualifier"}),
    "sns:publish": frozenset(
        {
            "Message",
            "MessageAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
            "MessageStructure",
            "PhoneNumber",
            "Subject",
            "TargetArn",
            "TopicArn",
        }
    ),
}
_ARGUMENTS = ("Arguments", "Parameters")


def refusal(definition: str) -> str | None:
    """Return why Step Functions refuses a definition for a field that it does not know, or None."""
    try:
        document = json.loads(definition)
    except ValueError:
        return None  # the operation itself reports it
    unknown = next(_unknown(document, ""), None)
    if unknown is None:
        return None
    field, path = unknown
    return (
        f'Invalid State Machine Definition: \'SCHEMA_VALIDATION_FAILED: The field "{field}" is not supported by '
        f"Step Functions at {path}'"
    )


def _unknown(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield each unknown field and the path of the arguments that have it, of states at any depth."""
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield from _unknown(member, f"{path}[{index}]")
    if not isinstance(value, dict):
        return
    if value.get("Type") == "Task":
        yield from _unknown_arguments(value, path)
        return
    for name, member in value.items():
        yield from _unknown(member, f"{path}/{name}")


def _unknown_arguments(state: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    action = str(state.get("Resource", "")).removeprefix(_PREFIX).removesuffix(".waitForTaskToken")
    known = _KNOWN.get(action.removesuffix(".sync"))
    for member in _ARGUMENTS:
        arguments = state.get(member)
        if known is None or not isinstance(arguments, dict):
            continue  # another integration, or one expression that is evaluated when the state is entered
        for field in arguments:
            if field.removesuffix(".$") not in known:
                yield field, f"{path}/{member}"
