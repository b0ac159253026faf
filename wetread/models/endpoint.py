"""The service's real-time endpoint: at most one, with one name for its SageMaker Model, configuration and endpoint.

It is made of an artifact by the SageMaker SDK; to look at it, ask it and end it takes boto3 alone.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain.placement import Placement
from functions.domain.row import timestamp
from wetread.connection import Connection
from wetread.console import Bar
from wetread.problems import ConfigProblem, Interruption, Problem

VARIANT = "AllTraffic"
MODEL_TAG = "wetread:model"
"""The endpoint's tag with the model that it serves."""
POLL_SECONDS = 2.0
ENVIRONMENT = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "25"}
"""A host's endpoint takes requests of 25 MB but, unlike a transform job, does not pass the limit to its container."""
LOCAL_DISK = re.compile(r"ml\.([a-z]+\d[a-z]*d[a-z]*|g5|g6e?|gr6|p5e?n?|trn\d\w*)\..+")
"""Host types with self-encrypting local disks: SageMaker refuses a KMS key for those."""
GPU_HOST = re.compile(r"ml\.(g|gr|p)(?!2\.|3\.|3dn\.)\d\w*\..+")
"""Host types with NVIDIA's GPUs that the image runs on; not p2 and p3, which are too old for its CUDA."""
GPU_HOST_AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
"""NVIDIA driver 580, for CUDA 12 and 13. Without it SageMaker starts some GPU hosts with driver 470: CUDA 11.4."""
CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})
CONCURRENT_REQUESTS = 4
"""How many requests a serverless endpoint answers at once, each in a separate container."""
LOG_GROUP = "/aws/sagemaker/Endpoints"


@dataclass(frozen=True, kw_only=True)
class Served:
    """What an endpoint is made of: an artifact in the models bucket, and what people call it."""

    called: str
    artifact_uri: str


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """Where it runs: on an instance of a type, billed by the hour, or, if that is "", serverless with so many MB."""

    instance_type: str
    serverless_memory_mb: int = 0

    @property
    def takes_a_key(self) -> bool:
        """Whether its disk is a volume that SageMaker encrypts with a given key."""
        return bool(self.instance_type) and not LOCAL_DISK.fullmatch(self.instance_type)

    @property
    def ami_version(self) -> str:
        """The host image: one with a current driver for GPU types, otherwise "", which is SageMaker's default."""
        return GPU_HOST_AMI if GPU_HOST.fullmatch(self.instance_type) else ""

    def __str__(self) -> str:
        return self.instance_type or f"serverless, {self.serverless_memory_mb} MB"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The endpoint as SageMaker describes it; ``serves`` describes the model."""

    name: str
    status: str
    serves: str
    hosting: str
    created_at: datetime
    failure_reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the endpoint for programs, under AWS-style names."""
        return {
            "EndpointName": self.name,
            "EndpointStatus": self.status,
            "Serves": self.serves,
            "Hosting": self.hosting,
            "CreatedAt": timestamp(self.created_at),
            "FailureReason": self.failure_reason or None,
        }


def name_of(connection: Connection) -> str:
    """Return the name of the service's endpoint."""
    return f"{connection.deployment.job_name_prefix}-endpoint"


def find(connection: Connection) -> Endpoint | None:
    """Return the endpoint in any state, or None (and no costs)."""
    client, name = connection.sagemaker, name_of(connection)
    found = _unless_gone(lambda: client.describe_endpoint(EndpointName=name))
    if found is None:
        return None
    tags = {one["Key"]: one["Value"] for one in client.list_tags(ResourceArn=found["EndpointArn"])["Tags"]}
    configured = _unless_gone(lambda: client.describe_endpoint_config(EndpointConfigName=name))
    return Endpoint(
        name=name,
        status=found["EndpointStatus"],
        serves=tags.get(MODEL_TAG, "unknown"),
        hosting=_hosting(configured["ProductionVariants"][0]) if configured else "unknown",
        created_at=found["CreationTime"],
        failure_reason=found.get("FailureReason", ""),
    )


def create(connection: Connection, served: Served, hosting: Hosting) -> None:
    """Create Model, configuration and endpoint; leftovers of an earlier one are deleted first."""
    from sagemaker.core import resources, shapes  # noqa: PLC0415

    deployment, name = connection.deployment, name_of(connection)
    on_instance, placement = bool(hosting.instance_type), deployment.placement
    if placement.vpc_config and not on_instance:
        raise ConfigProblem(
            "This stage has a VPC, and SageMaker puts no serverless endpoint into one.", "Use an instance."
        )
    _delete_makings(connection)
    tags = [shapes.Tag(key=one["Key"], value=one["Value"]) for one in placement.tags]
    resources.Model.create(
        session=connection.session,
        model_name=name,
        primary_container=shapes.ContainerDefinition(
            image=deployment.image_uri, model_data_url=served.artifact_uri, environment=ENVIRONMENT
        ),
        execution_role_arn=deployment.endpoint_role_arn,
        # Serverless containers do not support network isolation.
        enable_network_isolation=on_instance,
        **_network(placement),
        **({"tags": tags} if tags else {}),
    )
    where: dict[str, Any] = (
        {"InstanceType": hosting.instance_type, "InitialInstanceCount": 1}
        if on_instance
        else {
            "ServerlessConfig": {
                "MemorySizeInMB": hosting.serverless_memory_mb,
                "MaxConcurrency": CONCURRENT_REQUESTS,
            }
        }
    )
    if hosting.ami_version:
        where["InferenceAmiVersion"] = hosting.ami_version
    # By boto3: the SDK (sagemaker-core 2.27) misspells MemorySizeInMB.
    variant: Any = {"VariantName": VARIANT, "ModelName": name, **where}
    asked: Any = {"KmsKeyId": deployment.data_key_arn} if hosting.takes_a_key else {}
    if placement.tags:
        asked["Tags"] = placement.tags
    connection.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **asked)
    resources.Endpoint.create(
        session=connection.session,
        endpoint_name=name,
        endpoint_config_name=name,
        tags=[shapes.Tag(key=MODEL_TAG, value=served.called), *tags],
    )


def _network(placement: Placement) -> dict[str, Any]:
    """Return the SDK's argument for the network of a Model; {} without a VPC."""
    from sagemaker.core import shapes  # noqa: PLC0415

    vpc = placement.vpc_config
    if not vpc:
        return {}
    return {"vpc_config": shapes.VpcConfig(subnets=vpc["Subnets"], security_group_ids=vpc["SecurityGroupIds"])}


def wait(connection: Connection) -> Endpoint:
    """Wait until the endpoint serves; raises Problem with the reason when it never will."""
    try:
        with Bar("Creating", None) as bar:
            while True:
                found = find(connection)
                if found is None:
                    raise Problem(f"{name_of(connection)} was deleted meanwhile.", "Start it again.")
                if found.status != "Creating":
                    break
                bar.show(f"{found.name}: {found.status}")
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise Interruption(
            "The endpoint still starts and costs money: see `wetread status`, end it with `wetread endpoint down`."
        ) from None
    if found.status != "InService":
        raise Problem(f"{found.name} is {found.status}: {found.failure_reason or 'no reason given'}")
    return found


def invoke(connection: Connection, body: bytes) -> bytes:
    """Return the model's answer (prediction/2) for one DICOM object's bytes; raises Problem for any other answer."""
    try:
        answer = connection.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name_of(connection), ContentType="application/dicom", Accept="application/json", Body=body
        )
    except ClientError as error:
        if error_code(error) == "ModelError":
            raise Problem(
                f"The endpoint's container did not answer: {error}.", f"Its log group is {log_group(connection)}."
            ) from error
        if error_code(error) == "ValidationError" and "not found" in str(error):
            raise ConfigProblem("There is no endpoint in service.", "Start one with `wetread endpoint up`.") from error
        raise
    return bytes(answer["Body"].read())


def delete(connection: Connection) -> bool:
    """Delete the endpoint, its configuration and its Model, and wait until all are gone; False if none existed.

    Each is deleted independently, so that a later call removes what an interrupted one left.
    """
    client, name = connection.sagemaker, name_of(connection)
    there = False
    with Bar(f"Deleting {name}", None):
        while found := _unless_gone(lambda: client.describe_endpoint(EndpointName=name)):
            there = True
            if found["EndpointStatus"] != "Deleting":
                _ask_to_delete(client, name, busy=found["EndpointStatus"] in CHANGING)
            time.sleep(POLL_SECONDS)
    return _delete_makings(connection) or there


def _ask_to_delete(client: Any, name: str, *, busy: bool) -> None:
    """Delete an endpoint; retry while SageMaker refuses a busy one."""
    try:
        _unless_gone(lambda: client.delete_endpoint(EndpointName=name))
    except ClientError as error:
        if not (busy and error_code(error) == "ValidationException"):
            raise


def _delete_makings(connection: Connection) -> bool:
    """Delete configuration and Model; return whether either existed."""
    client, name = connection.sagemaker, name_of(connection)
    configuration = _unless_gone(lambda: client.delete_endpoint_config(EndpointConfigName=name))
    model = _unless_gone(lambda: client.delete_model(ModelName=name))
    return configuration is not None or model is not None


def _unless_gone(ask: Any) -> Any:
    """Return SageMaker's answer, or None if it cannot find the resource."""
    try:
        return ask()
    except ClientError as error:
        if error_code(error) != "ValidationException" or "Could not find" not in str(error):
            raise
        return None


def _hosting(variant: dict[str, Any]) -> str:
    serverless = variant.get("ServerlessConfig")
    memory = serverless["MemorySizeInMB"] if serverless else 0
    return str(Hosting(instance_type=variant.get("InstanceType", ""), serverless_memory_mb=memory))


def log_group(connection: Connection) -> str:
    """Return the log group of the endpoint's container."""
    return f"{LOG_GROUP}/{name_of(connection)}"
