"""A stack's outputs become one object, or a sentence that says what is missing."""

import json
import re
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from functions.domain.promotion import Thresholds
from functions.settings import to_environment
from infra.config import StageConfig
from infra.job_hosts import job_hosts
from wetread.deployment import OUTPUTS, SERVED, Deployment, Hosts
from wetread.problems import ConfigProblem

VALUES = {name: f"the-{name}" for name in OUTPUTS.values()} | {
    "Slots": "4",
    "MaxJobsPerDay": "1000",
    "DeadLetterQueueUrls": "http://q/one,http://q/two",
    "Labels": "normal,cap,covid",
}


@pytest.fixture
def cloudformation():
    client = boto3.client("cloudformation", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield client, stubber


def answer(values: dict[str, str], status: str = "CREATE_COMPLETE"):
    outputs = [{"OutputKey": key, "OutputValue": value} for key, value in values.items()]
    stack = {"StackName": "Wetread", "CreationTime": "2026-11-23", "StackStatus": status, "Outputs": outputs}
    return {"Stacks": [stack]}


def test_reads_the_outputs_and_ignores_others(cloudformation) -> None:
    client, stubber = cloudformation
    stubber.add_response("describe_stacks", answer(VALUES | {"Another": "x"}), {"StackName": "Wetread"})
    deployment = Deployment.read(client, "Wetread")
    assert deployment.uploads_bucket_name == "the-UploadsBucketName"
    assert (deployment.slots, deployment.max_jobs_per_day) == (4, 1000)
    assert deployment.labels == ("normal", "cap", "covid")
    assert deployment.dead_letter_queue_urls == ("http://q/one", "http://q/two")


def test_a_stack_says_what_it_serves_in_the_settings_of_ingest(cloudformation) -> None:
    client, stubber = cloudformation
    served = StageConfig().served
    document = answer(VALUES | {SERVED: json.dumps(to_environment(served))})
    document["Stacks"][0]["StackId"] = "arn:stack/1"
    stubber.add_response("describe_stacks", document, {"StackName": "Wetread"})
    deployment = Deployment.read(client, "Wetread")
    assert (deployment.served, deployment.stack_id) == (served, "arn:stack/1")


@pytest.mark.parametrize("output", [None, "{}", '{"MODALITIES": "CT"}', "no JSON"])
def test_a_stack_of_another_version_may_not_say_what_it_serves(cloudformation, output) -> None:
    client, stubber = cloudformation
    values = VALUES if output is None else VALUES | {SERVED: output}
    stubber.add_response("describe_stacks", answer(values), {"StackName": "Wetread"})
    assert Deployment.read(client, "Wetread").served is None


def test_a_stack_says_what_its_model_gate_asks(cloudformation) -> None:
    client, stubber = cloudformation
    asked = Thresholds(champion_margin=0.1, lower_bound=False)
    for output in (json.dumps(to_environment(asked)), "{}"):
        stubber.add_response("describe_stacks", answer(VALUES | {"Thresholds": output}), {"StackName": "Wetread"})
    found = [Deployment.read(client, "Wetread").thresholds for _ in range(2)]
    assert found == [asked, None], "an older stack says nothing"


@pytest.mark.parametrize(("spot", "usage"), [(False, "training job"), (True, "spot training job")])
def test_a_stack_says_which_hosts_its_jobs_use(cloudformation, spot, usage) -> None:
    client, stubber = cloudformation
    stage = StageConfig(slots=3, instance_count=2, training_instance_count=4, training_spot=spot)
    stubber.add_response("describe_stacks", answer(VALUES | {"JobHosts": json.dumps(job_hosts(stage))}))
    assert Deployment.read(client, "Wetread").job_hosts == (
        Hosts(usage="transform job", instance_type="ml.m5.xlarge", of_one=2, jobs=3),
        Hosts(usage=usage, instance_type="ml.m5.2xlarge", of_one=4, jobs=1),
        Hosts(usage="processing job", instance_type="ml.m5.xlarge", of_one=1, jobs=1),
    )


@pytest.mark.parametrize("output", ["", "{}", "[1]", '[{"Usage": "transform job"}]', "no JSON", "1"])
def test_a_stack_of_another_version_may_not_say_its_hosts(cloudformation, output) -> None:
    client, stubber = cloudformation
    stubber.add_response("describe_stacks", answer(VALUES | {"JobHosts": output}))
    assert Deployment.read(client, "Wetread").job_hosts == ()


def test_the_stack_has_every_output_that_is_read() -> None:
    from infra import service

    declared = set(re.findall(r'"(\w+)": ', Path(service.__file__).read_text()))
    assert set(OUTPUTS.values()) <= declared


def test_no_stack(cloudformation) -> None:
    client, stubber = cloudformation
    stubber.add_client_error("describe_stacks", "ValidationError", "Stack with id Wetread does not exist")
    with pytest.raises(ConfigProblem, match=r"no stack 'Wetread'.*wetread --local up"):
        Deployment.read(client, "Wetread")


def test_an_old_stack_and_an_unfinished_one(cloudformation) -> None:
    client, stubber = cloudformation
    old = {name: value for name, value in VALUES.items() if name != "Slots"}
    stubber.add_response("describe_stacks", answer(old))
    with pytest.raises(ConfigProblem, match="lacks the outputs Slots"):
        Deployment.read(client, "Wetread")
    stubber.add_response("describe_stacks", answer({}, "CREATE_IN_PROGRESS"))
    with pytest.raises(ConfigProblem, match="CREATE_IN_PROGRESS"):
        Deployment.read(client, "Wetread")
