"""Executions that ran when the cloud ended have failed at its next start, and so have their jobs."""

from __future__ import annotations

import json
import os
import signal

import pytest

from localcloud import cloud
from localcloud.home import home_of
from localcloud.host import process
from tests.localcloud.example import PROJECT

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
SERVICES = ("sagemaker.amazonaws.com", "states.amazonaws.com")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EXAMPLE_HOME", str(tmp_path / "home"))
    yield home_of(PROJECT)
    cloud.down(PROJECT, wipe=True)


@pytest.fixture
def started(home, processing_state):
    """Start an execution with a job that sleeps, and a queue that gets its events; return its ARN."""
    session = cloud.start(PROJECT).session()
    trust = [{"Effect": "Allow", "Principal": {"Service": name}, "Action": "sts:AssumeRole"} for name in SERVICES]
    iam = session.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = iam.create_role(RoleName="all", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName="all", PolicyName="all", PolicyDocument=json.dumps(ALL))
    everyone = {"Version": "2012-10-17", "Statement": [{**ALL["Statement"][0], "Principal": "*"}]}
    url = session.client("sqs").create_queue(QueueName="events", Attributes={"Policy": json.dumps(everyone)})[
        "QueueUrl"
    ]
    session.client("events").put_rule(Name="rule", EventPattern=json.dumps({"source": ["aws.states"]}))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:events"}
    session.client("events").put_targets(Rule="rule", Targets=[target])
    machine = session.client("stepfunctions").create_state_machine(
        name="machine", definition=json.dumps(processing_state(role)), roleArn=role
    )["stateMachineArn"]
    arn = session.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    return session, arn, url


@pytest.fixture
def processing_state():
    """Return a definition with one task, which runs a job that sleeps and catches every error."""

    def make(role):
        arguments = {
            "ProcessingJobName": "job",
            "RoleArn": role,
            "AppSpecification": {"ImageUri": "x", "ContainerArguments": ["sleep=60"]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 5}
            },
        }
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync",
            "Arguments": arguments,
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
            "End": True,
        }
        states = {"Process": task, "Caught": {"Type": "Pass", "End": True}}
        return {"QueryLanguage": "JSONata", "StartAt": "Process", "States": states}

    return make


def saved(home, service):
    """Return the text of a service's latest snapshot."""
    path = home.services / f"{service}.json"
    return path.read_text() if path.exists() else ""


def end_politely(home):
    cloud.down(PROJECT)


def end_suddenly(home):
    os.kill(process.running(home), signal.SIGKILL)


@pytest.mark.parametrize("end", [end_politely, end_suddenly])
def test_what_ran_has_failed_and_says_why(home, started, until, end):
    session, arn, url = started
    until(lambda: "TaskSubmitted" in saved(home, "stepfunctions") and "InProgress" in saved(home, "sagemaker"))

    end(home)

    until(lambda: cloud.current(PROJECT) is None)
    session = cloud.start(PROJECT).session()
    execution = session.client("stepfunctions").describe_execution(executionArn=arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")
    assert execution["cause"] == "The local cloud ended while this execution ran. Start it again."
    events = session.client("stepfunctions").get_execution_history(executionArn=arn, reverseOrder=True)["events"]
    assert [event["type"] for event in events[:2]] == ["ExecutionFailed", "TaskSubmitted"]
    job = session.client("sagemaker").describe_processing_job(ProcessingJobName="job")
    assert (job["ProcessingJobStatus"], job["FailureReason"][:20]) == ("Failed", "InternalServerError:")
    messages = session.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    statuses = [json.loads(message["Body"])["detail"]["status"] for message in messages["Messages"]]
    assert statuses[-1] == "FAILED"
