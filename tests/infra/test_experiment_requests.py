"""The request of the SageMaker SDK for an experiment: the workflow's request without the parts for interrupted runs."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.training_run import TrainingRun
from tests.infra.runs import BUCKET, RUN, SNAPSHOT, walk
from tests.wetread.aws import Aws
from wetread import sdk
from wetread.training import experiments
from wetread.training.recipe import Recipe

CODE = f"s3://{BUCKET}/{layout.code_prefix(RUN)}"
# For interrupted or retried runs; an experiment that fails is looked at by the person who started it.
OF_A_RUN = {"CheckpointConfig", "EnableManagedSpotTraining"}


@pytest.fixture
def recipe(machine: dict[str, Any]) -> Recipe:
    client = SimpleNamespace(describe_state_machine=lambda **_: {"definition": json.dumps(machine)})
    return Recipe.read(client, "arn")


def sent(recipe: Recipe, code_uri: str | None = None, **changes: str) -> tuple[str, dict[str, Any]]:
    """Return the job's name as reported, and the request on the wire."""
    described = {"TrainingJobName": "n", "TrainingJobArn": "arn:aws:sagemaker:us-east-1:111122223333:training-job/n"}
    aws = Aws({"CreateTrainingJob": described, "DescribeTrainingJob": described})
    sdk.require()
    deployment = SimpleNamespace(job_name_prefix="wetread", training_bucket_name=BUCKET)
    connection: Any = SimpleNamespace(session=aws.session(), deployment=deployment)
    job = experiments.start(connection, recipe, TrainingRun.from_json(SNAPSHOT | changes), code_uri)
    assert {operation for operation, _ in aws.sent} == {"CreateTrainingJob", "DescribeTrainingJob"}
    return job, next(body for operation, body in aws.sent if operation == "CreateTrainingJob")


def test_the_request_is_that_of_the_workflow(machine: dict[str, Any], recipe: Recipe) -> None:
    _, request = sent(recipe)
    own = walk(machine).arguments["Train"]
    name = request.pop("TrainingJobName")
    assert name.startswith(f"wetread-experiment-{RUN}-")
    assert request["OutputDataConfig"].pop("CompressionType") == "GZIP"  # SageMaker's default, made explicit
    assert request == {member: value for member, value in own.items() if member not in {*OF_A_RUN, "TrainingJobName"}}


def test_the_network_and_the_tags_are_those_of_the_workflow(recipe: Recipe) -> None:
    network = {"Subnets": ["subnet-0a1b2c3d"], "SecurityGroupIds": ["sg-0a1b2c3d"]}
    tags = [{"Key": "CostCentre", "Value": "4711"}]
    _, request = sent(replace(recipe, training={**recipe.training, "VpcConfig": network, "Tags": tags}))
    assert (request["VpcConfig"], request["Tags"]) == (network, tags)
    assert request["EnableNetworkIsolation"] is True


def test_custom_code_is_a_separate_channel(recipe: Recipe) -> None:
    _, request = sent(recipe, CODE)
    (code,) = [one for one in request["InputDataConfig"] if one["ChannelName"] == "code"]
    assert code["DataSource"]["S3DataSource"] == {"S3DataType": "S3Prefix", "S3Uri": CODE}


def test_weights_to_start_from_are_the_channel_that_the_workflow_gives(recipe: Recipe) -> None:
    uri = layout.uri(BUCKET, layout.weights_prefix(RUN, "ab"))
    _, request = sent(recipe, InitialWeightsUri=uri)
    (weights,) = [one for one in request["InputDataConfig"] if one["ChannelName"] == "initial-weights"]
    assert weights["DataSource"]["S3DataSource"]["S3Uri"] == uri


def test_the_sdk_reports_no_usage() -> None:
    from sagemaker.core.common_utils import resolve_value_from_config
    from sagemaker.core.config.config_schema import TELEMETRY_OPT_OUT_PATH

    sdk.require()
    session = sdk.session(Aws({}).session())
    assert resolve_value_from_config(config_path=TELEMETRY_OPT_OUT_PATH, sagemaker_session=session) is True
