"""The endpoint is made of one artifact by the SDK, found by its name, and deleted with its resources."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from functions.domain.placement import Placement
from tests.fakes.wire import client_error
from tests.wetread.aws import Aws
from tests.wetread.conftest import DEPLOYMENT
from wetread import sdk
from wetread.models import endpoint
from wetread.models.endpoint import Hosting, Served
from wetread.problems import ConfigProblem, Interruption, Problem

ARN = "arn:aws:sagemaker:us-east-1:000000000000:{}/wetread-endpoint"
SERVED = Served(called="wetread/3", artifact_uri="s3://models/artifacts/c0ffee/model.tar.gz")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch) -> None:
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)


def created(connection, hosting: Hosting) -> dict[str, dict[str, Any]]:
    """Return the requests that make an endpoint, as they went over the wire, when nothing was there before."""
    answers: dict[str, Any] = {
        "DeleteEndpointConfig": client_error("ValidationException", 'Could not find endpoint configuration "arn".'),
        "DeleteModel": client_error("ValidationException", 'Could not find model "arn".'),
        "CreateModel": {"ModelArn": ARN.format("model")},
        "DescribeModel": {"ModelName": "wetread-endpoint", "ModelArn": ARN.format("model")},
        "CreateEndpointConfig": {"EndpointConfigArn": ARN.format("endpoint-config")},
        "CreateEndpoint": {"EndpointArn": ARN.format("endpoint")},
        "DescribeEndpoint": {"EndpointName": "wetread-endpoint", "EndpointStatus": "Creating"},
    }
    aws = Aws(answers)
    connection.session = aws.session()
    connection.sagemaker = connection.session.client("sagemaker")
    sdk.require()
    endpoint.create(connection, SERVED, hosting)
    return {operation: body for operation, body in aws.sent if operation.startswith("Create")}


def test_it_is_made_of_the_artifact_isolated_and_with_its_own_role(connection) -> None:
    sent = created(connection, Hosting(instance_type="ml.m5.large"))
    assert sent == {
        "CreateModel": {
            "ModelName": "wetread-endpoint",
            "PrimaryContainer": {
                "Image": DEPLOYMENT.image_uri,
                "ModelDataUrl": SERVED.artifact_uri,
                "Environment": {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "25"},
            },
            "ExecutionRoleArn": DEPLOYMENT.endpoint_role_arn,
            "EnableNetworkIsolation": True,
        },
        "CreateEndpointConfig": {
            "EndpointConfigName": "wetread-endpoint",
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "wetread-endpoint",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                }
            ],
            "KmsKeyId": DEPLOYMENT.data_key_arn,
        },
        "CreateEndpoint": {
            "EndpointName": "wetread-endpoint",
            "EndpointConfigName": "wetread-endpoint",
            "Tags": [{"Key": "wetread:model", "Value": "wetread/3"}],
        },
    }


def test_serverless_has_memory_and_no_host(connection) -> None:
    sent = created(connection, Hosting(instance_type="", serverless_memory_mb=3072))
    (variant,) = sent["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 4}
    assert not {"InstanceType", "InitialInstanceCount"} & variant.keys()
    assert "KmsKeyId" not in sent["CreateEndpointConfig"], "there is no disk to encrypt"
    assert sent["CreateModel"]["EnableNetworkIsolation"] is False


PLACED = Placement(
    subnet_ids=("subnet-0a1b2c3d",), security_group_ids=("sg-0a1b2c3d",), resource_tags=("CostCentre=4711",)
)


def test_in_a_stage_with_a_vpc_and_tags_all_three_have_them(connection) -> None:
    connection.deployment = replace(DEPLOYMENT, placement=PLACED)
    sent = created(connection, Hosting(instance_type="ml.m5.large"))
    assert sent["CreateModel"]["VpcConfig"] == {"Subnets": ["subnet-0a1b2c3d"], "SecurityGroupIds": ["sg-0a1b2c3d"]}
    assert all({"Key": "CostCentre", "Value": "4711"} in request["Tags"] for request in sent.values())


def test_in_a_stage_with_a_vpc_a_serverless_one_is_refused_before_anything_is_deleted(connection) -> None:
    connection.deployment = replace(DEPLOYMENT, placement=PLACED)
    connection.sagemaker = None
    with pytest.raises(ConfigProblem, match="has a VPC"):
        endpoint.create(connection, SERVED, Hosting(instance_type="", serverless_memory_mb=3072))


@pytest.mark.parametrize(
    ("instance_type", "takes_a_key"),
    [
        *((f"ml.{family}.xlarge", True) for family in ("m5", "m4", "c5", "c5n", "c6i", "r5", "m7i", "inf2", "p3")),
        *((f"ml.{family}.xlarge", False) for family in ("g4dn", "g5", "g6", "g6e", "m5d", "c5d", "r5dn", "p4d", "p5")),
    ],
)
def test_a_host_whose_disk_is_its_own_is_given_no_key(instance_type: str, takes_a_key: bool) -> None:
    assert Hosting(instance_type=instance_type).takes_a_key is takes_a_key


def test_what_an_interrupted_one_left_goes_first(connection) -> None:
    connection.hosting.made = {"model": {}, "endpoint configuration": {}}
    connection.session = Aws({"CreateModel": client_error("AccessDeniedException", "no")}).session()
    sdk.require()
    with pytest.raises(ClientError, match="AccessDenied"):
        endpoint.create(connection, SERVED, Hosting(instance_type="ml.m5.large"))
    assert connection.hosting.made == {}


def test_it_is_found_with_what_it_serves_and_where(connection) -> None:
    assert endpoint.find(connection) is None
    connection.hosting.exists()
    found = endpoint.find(connection)
    assert found is not None
    assert (found.name, found.status, found.serves, found.hosting) == (
        "wetread-endpoint",
        "InService",
        "wetread/3",
        "ml.m5.xlarge",
    )
    connection.hosting.made["endpoint configuration"] = {
        "ProductionVariants": [{"ServerlessConfig": {"MemorySizeInMB": 2048}}]
    }
    assert endpoint.find(connection).hosting == "serverless, 2048 MB"


def test_trouble_is_not_taken_for_absence(connection) -> None:
    def deny(**_):
        raise client_error("AccessDeniedException", "no")

    connection.hosting.describe_endpoint = deny
    with pytest.raises(ClientError):
        endpoint.find(connection)


def test_waiting_ends_in_service_or_with_the_reason(connection) -> None:
    connection.hosting.exists()
    connection.hosting.statuses = ["Creating", "Creating", "InService"]
    assert endpoint.wait(connection).status == "InService"
    connection.hosting.statuses, connection.hosting.failure = ["Creating", "Failed"], "It did not pass the ping."
    with pytest.raises(Problem, match="wetread-endpoint is Failed: It did not pass the ping"):
        endpoint.wait(connection)
    connection.hosting.made = {}
    with pytest.raises(Problem, match="was deleted meanwhile"):
        endpoint.wait(connection)


def test_interrupted_waiting_says_that_it_costs_money(connection, monkeypatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    connection.hosting.exists(status="Creating")
    monkeypatch.setattr(endpoint.time, "sleep", interrupt)
    with pytest.raises(Interruption, match=r"costs money.*endpoint down"):
        endpoint.wait(connection)


def test_ending_returns_when_all_is_gone(connection) -> None:
    connection.hosting.exists()
    assert endpoint.delete(connection) is True
    assert connection.hosting.made == {}
    assert connection.hosting.calls.count("delete_endpoint") == 1
    assert endpoint.delete(connection) is False


def test_one_that_is_starting_is_ended_as_soon_as_sagemaker_lets_it(connection) -> None:
    connection.hosting.exists()
    connection.hosting.statuses = ["Creating", "Creating", "Creating", "InService"]
    assert endpoint.delete(connection) is True
    assert connection.hosting.made == {}


def test_what_is_left_without_an_endpoint_is_ended_too(connection) -> None:
    connection.hosting.made = {"model": {}}
    assert endpoint.delete(connection) is True
    assert connection.hosting.made == {}


def runtime(connection, answer: bytes | ClientError) -> list[dict[str, Any]]:
    """Prepare the runtime's answer; return the requests that it will get."""
    asked: list[dict[str, Any]] = []

    def invoke_endpoint(**request: Any) -> dict[str, Any]:
        asked.append(request)
        if isinstance(answer, ClientError):
            raise answer
        return {"Body": io.BytesIO(answer)}

    connection.client = lambda service, **_: SimpleNamespace(invoke_endpoint=invoke_endpoint)
    return asked


def test_an_object_goes_as_it_is_and_the_answer_comes_as_it_is(connection) -> None:
    asked = runtime(connection, b'{"Class": "cap"}')
    assert endpoint.invoke(connection, b"DICM") == b'{"Class": "cap"}'
    assert asked == [
        {
            "EndpointName": "wetread-endpoint",
            "ContentType": "application/dicom",
            "Accept": "application/json",
            "Body": b"DICM",
        }
    ]


@pytest.mark.parametrize(
    ("code", "message", "kind", "expected"),
    [
        ("ValidationError", "Endpoint wetread-endpoint of account 0 not found.", ConfigProblem, "endpoint up"),
        ("ModelError", "Received server error (500) from primary", Problem, "/aws/sagemaker/Endpoints/wetread-endp"),
        ("ValidationError", "The payload has 30 MB, 25 may.", ClientError, "25 may"),
    ],
)
def test_no_answer_is_reported_with_what_to_do(connection, code, message, kind, expected) -> None:
    runtime(connection, client_error(code, message))
    with pytest.raises(kind, match=expected):
        endpoint.invoke(connection, b"DICM")


@pytest.mark.parametrize(
    "instance_type",
    ["ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g6e.2xlarge", "ml.gr6.4xlarge", "ml.p4d.24xlarge", "ml.p5.4xlarge"],
)
def test_a_host_with_gpus_gets_a_driver_that_the_images_cuda_runs_with(connection, instance_type: str) -> None:
    (variant,) = created(connection, Hosting(instance_type=instance_type))["CreateEndpointConfig"]["ProductionVariants"]
    offered = botocore.session.get_session().get_service_model("sagemaker")
    assert variant["InferenceAmiVersion"] in offered.shape_for("ProductionVariantInferenceAmiVersion").enum
    assert variant["InferenceAmiVersion"].endswith("-gpu-4-1")


@pytest.mark.parametrize(
    "hosting",
    [
        *(Hosting(instance_type=f"ml.{one}.xlarge") for one in ("m5", "c7i", "inf2", "trn1", "p2", "p3", "p3dn")),
        Hosting(instance_type="", serverless_memory_mb=2048),
    ],
    ids=str,
)
def test_another_host_is_sagemakers_choice(hosting: Hosting) -> None:
    assert hosting.ami_version == ""
