"""The life of an endpoint, from CreateEndpoint to its deletion."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import pytest

SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 5}}


@pytest.fixture
def sagemaker(client):
    return client("sagemaker")


@pytest.fixture
def create(sagemaker, endpoint, name):
    """Create an endpoint, of a configuration with one variant of `variant`, of the test's model."""

    def call(endpoint_name=name, **variant):
        variants = [{"VariantName": "main", "ModelName": name, **variant}]
        sagemaker.create_endpoint_config(EndpointConfigName=endpoint_name, ProductionVariants=variants)
        return sagemaker.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=endpoint_name)["EndpointArn"]

    return call


@pytest.fixture
def started(client, log_lines, until):
    """Wait until an endpoint's container has started; return its process id and its folder."""

    def wait(endpoint_name):
        def ask():
            lines = []
            with contextlib.suppress(client("logs").exceptions.ResourceNotFoundException):  # until the first line
                lines = log_lines(f"/aws/sagemaker/Endpoints/{endpoint_name}", "main")
            return re.search(r"^process (\d+) in (.+)$", "\n".join(lines), re.MULTILINE)

        found = until(ask)
        return int(found[1]), Path(found[2])

    return wait


@pytest.fixture
def nothing_left(sagemaker, until):
    """Wait until an endpoint is deleted, and assert that its process and its folder are gone."""

    def check(endpoint_name, pid, folder):
        until(lambda: not sagemaker.list_endpoints(NameContains=endpoint_name)["Endpoints"])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert not folder.parent.exists()

    return check


def test_an_endpoint_is_created_at_once_serves_and_leaves_nothing(
    sagemaker, model, create, settled, started, nothing_left, log_lines, name
):
    model()
    arn = create(InstanceType="ml.m5.xlarge", InitialInstanceCount=2)
    creating = sagemaker.describe_endpoint(EndpointName=name)
    assert creating["EndpointStatus"] == "Creating"
    assert arn == creating["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"

    described = settled(name)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == name
    assert described["LastModifiedTime"] > described["CreationTime"]
    assert described["ProductionVariants"] == [
        {"VariantName": "main", "CurrentInstanceCount": 2, "DesiredInstanceCount": 2}
    ]
    assert not {"FailureReason", "Variant", "Container", "ExecutionRoleArn"} & described.keys()
    assert "serving the fake model" in log_lines(f"/aws/sagemaker/Endpoints/{name}", "main")

    left = started(name)
    sagemaker.delete_endpoint(EndpointName=name)
    nothing_left(name, *left)
    for operation in (sagemaker.describe_endpoint, sagemaker.delete_endpoint):
        with pytest.raises(sagemaker.exceptions.ClientError) as error:
            operation(EndpointName=name)
        assert error.value.response["Error"]["Code"] == "ValidationException"
        assert error.value.response["Error"]["Message"] == f'Could not find endpoint "{arn}".'


def test_a_serverless_endpoint_describes_its_configuration(model, create, settled, name):
    model()
    create(**SERVERLESS)
    (summary,) = settled(name)["ProductionVariants"]
    assert summary == {"VariantName": "main", "CurrentServerlessConfig": SERVERLESS["ServerlessConfig"]}


@pytest.mark.parametrize("environment", [{"FAKE_PING": "never"}, {"FAKE_START": "crash"}])
def test_an_endpoint_that_never_answers_ping_fails_with_the_reason(
    sagemaker, endpoint, settled, started, nothing_left, log_lines, name, environment
):
    endpoint(**environment)
    described = settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == (
        "The primary container for production variant main did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    assert any("answer" in line and "/ping" in line for line in log_lines(f"/aws/sagemaker/Endpoints/{name}", "main"))
    sagemaker.delete_endpoint(EndpointName=name)
    nothing_left(name, *started(name))


def test_an_artifact_that_cannot_be_downloaded_fails_the_endpoint(client, bucket, model, create, settled, name):
    model()
    client("s3").delete_object(Bucket=bucket, Key="model.tar.gz")
    create(**SERVERLESS)
    described = settled(name)
    assert described["EndpointStatus"] == "Failed"
    reason = f"ClientError: Failed to download model data from s3://{bucket}/model.tar.gz"
    assert described["FailureReason"].startswith(reason)


def test_an_endpoint_can_be_deleted_while_it_is_created(sagemaker, endpoint, started, nothing_left, name):
    endpoint(FAKE_PING="never")
    left, asked = started(name), time.monotonic()
    sagemaker.delete_endpoint(EndpointName=name)
    nothing_left(name, *left)
    assert time.monotonic() - asked < 3  # the seconds after which the container is given up anyhow


def test_a_deleted_name_can_be_used_again(sagemaker, endpoint, settled, until, name):
    endpoint()
    with pytest.raises(sagemaker.exceptions.ClientError, match="Cannot create already existing endpoint "):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(name)["EndpointStatus"] == "InService"


def test_an_endpoint_needs_a_configuration_and_its_model(sagemaker, model, name):
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    with pytest.raises(sagemaker.exceptions.ClientError, match=f'find endpoint configuration "{arn}:endpoint-config/'):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    model()
    variant = {"VariantName": "main", "ModelName": name, **SERVERLESS}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.delete_model(ModelName=name)
    with pytest.raises(sagemaker.exceptions.ClientError, match=f'Could not find model "{arn}:model/{name}"'):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []


def test_instances_are_limited_and_serverless_endpoints_are_not(sagemaker, model, create, settled, name):
    model()
    message = "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 8 Instances"
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match=message):
        create(InstanceType="ml.m5.xlarge", InitialInstanceCount=9)
    create(f"{name}-full", InstanceType="ml.m5.xlarge", InitialInstanceCount=8)
    create(f"{name}-serverless", **SERVERLESS)
    assert settled(f"{name}-full")["EndpointStatus"] == settled(f"{name}-serverless")["EndpointStatus"] == "InService"


def test_endpoints_are_listed_by_name_and_status(sagemaker, model, create, settled, name):
    model()
    for suffix in ("a", "b"):
        create(f"{name}-{suffix}", **SERVERLESS)
    for suffix in ("a", "b"):
        settled(f"{name}-{suffix}")
    listed = sagemaker.list_endpoints(NameContains=name, StatusEquals="InService", SortBy="Name", MaxResults=1)
    assert [found["EndpointName"] for found in listed["Endpoints"]] == [f"{name}-b"]
    rest = sagemaker.list_endpoints(NameContains=name, SortBy="Name", NextToken=listed["NextToken"])
    assert [found["EndpointName"] for found in rest["Endpoints"]] == [f"{name}-a"]
    assert sagemaker.list_endpoints(NameContains=name, StatusEquals="Failed")["Endpoints"] == []


def test_tags_live_as_long_as_the_endpoint(sagemaker, endpoint, settled, until, name):
    endpoint()
    arn = settled(name)["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


# What a caller must be allowed.
CREATE = """
import boto3
def handler(name, context):
    boto3.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
"""


@pytest.mark.parametrize("missing", ["endpoint", "endpoint-config", None])
def test_a_function_needs_the_endpoint_and_its_configuration(
    sagemaker, model, endpoint, function, invoke, settled, name, missing
):
    variant = {"VariantName": "main", "ModelName": model(), **SERVERLESS}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    resources = {"endpoint", "endpoint-config"} - {missing}
    account = "arn:aws:sagemaker:us-east-1:000000000000"
    allowed = [("sagemaker:CreateEndpoint", f"{account}:{resource}/{name}") for resource in resources]
    document, failed = invoke(function(CREATE, *allowed), name)
    if missing is None:
        assert not failed, document
        settled(name)
    else:
        assert "AccessDeniedException" in document["errorMessage"]
        assert "sagemaker:CreateEndpoint" in document["errorMessage"]
