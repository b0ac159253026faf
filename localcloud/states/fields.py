"""The fields that Step Functions knows in the arguments of a service integration; it refuses a definition with others.

The model of the service's own API is wider. What was read for this on 2026-11-29:

- Step Functions' refusal: aws-step-functions-data-science-sdk-python#200 (InvalidDefinition of CreateStateMachine,
  SCHEMA_VALIDATION_FAILED, "/States/Train Step/Parameters"), aws-cdk#10014 (a deployment fails). Both are of a nested
  field; here fields below the first level are not checked. A field that is only known when the state is entered fails
  the execution with the same words (data-science-sdk#15), and validate-state-machine-definition may say OK of it;
- the tasks of aws-cdk-lib 2.275 (SageMakerCreateTrainingJob, SageMakerCreateTransformJob): every field that they send;
- definitions that ran on AWS: CheckpointConfig (data-science-sdk#86), EnableManagedSpotTraining (#42, 2021).

Step Functions' guide of 2023 lists the supported parameters of each call as links. The stored copy has lost their
names, and today's page has no list. It has 11 of CreateProcessingJob and 5 of Invoke, as many as are below; of Publish
it has 7, and below are those of FIFO topics beside them. Nothing shows whether EnableInterContainerTrafficEncryption is
known. It is accepted.
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
            "ModelClientConfig",
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
