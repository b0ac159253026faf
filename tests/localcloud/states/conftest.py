"""State machines with a role, and jobs that run the fake image."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

ACCOUNT = "000000000000"
RULES = ("events:PutTargets", "events:PutRule", "events:DescribeRule")


@pytest.fixture
def job_role(role: Callable[..., str], bucket: str) -> str:
    """A role with which jobs may do anything in the test's bucket."""
    resources = (f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}")
    return role("sagemaker.amazonaws.com", *(("s3:*", resource) for resource in resources))


@pytest.fixture
def permissions(name: str, job_role: str) -> list[tuple[str, str]]:
    """All that a state machine needs for the test's jobs and functions."""
    jobs = [f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:{kind}-job/{name}*" for kind in ("training", "processing")]
    actions = [f"{verb}{noun}Job" for noun in ("Training", "Processing") for verb in ("Create", "Describe", "Stop")]
    rule = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMaker*"
    return [
        *((f"sagemaker:{action}", job) for action in (*actions, "AddTags") for job in jobs),
        *((action, rule) for action in RULES),
        ("iam:PassRole", job_role),
        ("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}*"),
        ("sns:Publish", f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}*"),
    ]


@pytest.fixture
def machine(
    client: Callable[[str], Any], role: Callable[..., str], name: str, permissions: list[tuple[str, str]]
) -> Callable[..., str]:
    """Make a JSONata state machine of `states`, which starts at the first; return its ARN."""

    def make(
        states: dict[str, Any], *, without: str = "", trusted: str = "states.amazonaws.com", **members: Any
    ) -> str:
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **members}
        statements = [(action, resource) for action, resource in permissions if action != without]
        arn: str = client("stepfunctions").create_state_machine(
            name=f"{name}-{time.monotonic_ns()}",
            definition=json.dumps(definition),
            roleArn=role(trusted, *statements),
        )["stateMachineArn"]
        return arn

    return make


@pytest.fixture
def start(client: Callable[[str], Any]) -> Callable[..., str]:
    """Start an execution; return its ARN."""

    def begin(machine_arn: str, document: Any = None, **members: Any) -> str:
        request = {"stateMachineArn": machine_arn, "input": json.dumps(document or {}), **members}
        arn: str = client("stepfunctions").start_execution(**request)["executionArn"]
        return arn

    return begin


@pytest.fixture
def finished(client: Callable[[str], Any], until: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    """Wait until an execution has ended; return its description, the output decoded."""

    def wait(execution_arn: str) -> dict[str, Any]:
        def ask() -> dict[str, Any] | None:
            description: dict[str, Any] = client("stepfunctions").describe_execution(executionArn=execution_arn)
            return None if description["status"] == "RUNNING" else description

        description: dict[str, Any] = until(ask)
        if "output" in description:
            description["output"] = json.loads(description["output"])
        return description

    return wait


@pytest.fixture
def run(
    machine: Callable[..., str], start: Callable[..., str], finished: Callable[[str], dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """Make a state machine, run it once and return the description of the execution."""

    def make_and_run(states: dict[str, Any], document: Any = None, **members: Any) -> dict[str, Any]:
        return finished(start(machine(states, **members), document))

    return make_and_run


@pytest.fixture
def processing(name: str, bucket: str, job_role: str, client: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """Return a Task state that runs a processing job with `arguments` for the fake image."""
    client("s3").put_object(Bucket=bucket, Key="in/a.txt", Body=b"a")

    def make(*arguments: str, **members: Any) -> dict[str, Any]:
        source = {"S3Uri": f"s3://{bucket}/in/", "LocalPath": "/opt/ml/processing/input/data", "S3DataType": "S3Prefix"}
        target = {"S3Uri": f"s3://{bucket}/out/", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
        request = {
            "ProcessingJobName": f"{{% '{name}-' & $states.context.State.RetryCount %}}",
            "RoleArn": job_role,
            "AppSpecification": {"ImageUri": "x", "ContainerArguments": list(arguments or ("a=1",))},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 5}
            },
            "ProcessingInputs": [
                {"InputName": "data", "S3Input": {**source, "S3InputMode": "File"}},
            ],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": target}]},
        }
        resource = "arn:aws:states:::sagemaker:createProcessingJob.sync"
        return {"Type": "Task", "Resource": resource, "Arguments": request, "End": True, **members}

    return make
