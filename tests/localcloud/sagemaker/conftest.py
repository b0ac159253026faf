"""A model served by the fake image, and jobs that use it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

IMAGE = "local/fake:latest"
INSTANCE = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}


@pytest.fixture
def job_role(role: Callable[..., str], bucket: str) -> str:
    """A role that may do what jobs on the test's bucket need."""
    return role(
        "sagemaker.amazonaws.com",
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/in/*"),
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/model.tar.gz"),
        ("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    )


@pytest.fixture
def artifact(client: Callable[[str], Any], bucket: str) -> str:
    """The URI of a model.tar.gz in the test's bucket."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("model.pth")
        member.size = 7
        tar.addfile(member, io.BytesIO(b"weights"))
    client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=buffer.getvalue())
    return f"s3://{bucket}/model.tar.gz"


@pytest.fixture
def model(client: Callable[[str], Any], name: str, artifact: str, job_role: str) -> Callable[..., str]:
    """Create a model, with environment variables for the container; return its name."""

    def make(**environment: str) -> str:
        container = {"Image": IMAGE, "ModelDataUrl": artifact, "Environment": environment}
        client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=job_role, PrimaryContainer=container)
        return name

    return make


@pytest.fixture
def endpoint(
    client: Callable[[str], Any], name: str, model: Callable[..., str], until: Callable[..., Any]
) -> Iterator[Callable[..., str]]:
    """Create an endpoint of a model with environment variables for the container; the test's end deletes it."""
    sagemaker = client("sagemaker")

    def make(**environment: str) -> str:
        variant = {"VariantName": "main", "ModelName": model(**environment), **INSTANCE}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return name

    yield make
    for made in sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
        if made["EndpointStatus"] != "Deleting":
            sagemaker.delete_endpoint(EndpointName=made["EndpointName"])
    until(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])


@pytest.fixture
def settled(client: Callable[[str], Any], until: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    """Wait until an endpoint is not Creating any more; return its description."""

    def wait(endpoint_name: str) -> dict[str, Any]:
        def ask() -> dict[str, Any] | None:
            description: dict[str, Any] = client("sagemaker").describe_endpoint(EndpointName=endpoint_name)
            return None if description["EndpointStatus"] == "Creating" else description

        result: dict[str, Any] = until(ask)
        return result

    return wait


@pytest.fixture
def upload(client: Callable[[str], Any], bucket: str) -> Callable[..., str]:
    """Put objects by name below `in/` and a manifest of them; return the manifest's URI."""

    def put(**bodies: bytes) -> str:
        s3 = client("s3")
        for key, body in bodies.items():
            s3.put_object(Bucket=bucket, Key=f"in/{key}", Body=body)
        manifest = [{"prefix": f"s3://{bucket}/in/"}, *bodies]
        s3.put_object(Bucket=bucket, Key="in/manifest.json", Body=json.dumps(manifest).encode())
        return f"s3://{bucket}/in/manifest.json"

    return put


@pytest.fixture
def transform_request(name: str, bucket: str) -> Callable[..., dict[str, Any]]:
    """Return a CreateTransformJob request for a manifest; `changes` replace members."""

    def make(uri: str, kind: str = "ManifestFile", **changes: Any) -> dict[str, Any]:
        source = {"S3DataType": kind, "S3Uri": uri}
        return {
            "TransformJobName": name,
            "ModelName": name,
            "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "application/dicom"},
            "TransformOutput": {"S3OutputPath": f"s3://{bucket}/out/", "Accept": "application/json"},
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            **changes,
        }

    return make


@pytest.fixture
def ended(client: Callable[[str], Any], until: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Wait until a job of any kind has ended; return its description."""

    def wait(name: str, noun: str = "TransformJob") -> dict[str, Any]:
        kind = noun.removesuffix("Job").lower()
        describe = getattr(client("sagemaker"), f"describe_{kind}_job")

        def ask() -> dict[str, Any] | None:
            description: dict[str, Any] = describe(**{f"{noun}Name": name})
            running = description[f"{noun}Status"] in ("InProgress", "Stopping")
            return None if running else description

        result: dict[str, Any] = until(ask)
        return result

    return wait


@pytest.fixture
def outputs(client: Callable[[str], Any], bucket: str) -> Callable[[], dict[str, bytes]]:
    """Return the objects below `out/`, by name."""

    def read() -> dict[str, bytes]:
        s3 = client("s3")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/").get("Contents", [])
        return {
            entry["Key"].removeprefix("out/"): s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for entry in listed
        }

    return read


@pytest.fixture
def log_lines(client: Callable[[str], Any]) -> Callable[..., list[str]]:
    """Return the messages of a job's log streams."""

    def read(group: str, job: str) -> list[str]:
        events = client("logs").filter_log_events(logGroupName=group, logStreamNamePrefix=f"{job}/")["events"]
        return [event["message"] for event in events]

    return read


@pytest.fixture
def events_of(
    client: Callable[[str], Any],
    queue: Callable[..., tuple[str, str]],
    received: Callable[..., list[Any]],
    name: str,
) -> Callable[..., Callable[[], list[Any]]]:
    """Follow the events of one detail type, by the prefix of a member; return a function that reads them."""

    def follow(detail_type: str, member: str, prefix: str) -> Callable[[], list[Any]]:
        url, arn = queue("-events")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        pattern = {"source": ["aws.sagemaker"], "detail-type": [detail_type], "detail": {member: [{"prefix": prefix}]}}
        client("events").put_rule(Name=f"{name}-events", EventPattern=json.dumps(pattern))
        client("events").put_targets(Rule=f"{name}-events", Targets=[{"Id": "queue", "Arn": arn}])
        return lambda: received(url, seconds=2)

    return follow


@pytest.fixture
def training_request(
    name: str, bucket: str, job_role: str, client: Callable[[str], Any]
) -> Callable[..., dict[str, Any]]:
    """Return a CreateTrainingJob request with hyperparameters for the fake image; `changes` replace members."""
    client("s3").put_object(Bucket=bucket, Key="in/train/manifest.json", Body=b"[]")
    client("s3").put_object(Bucket=bucket, Key="in/train/deep/a.dcm", Body=b"a")

    def make(hyperparameters: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/train/"}
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
            "RoleArn": job_role,
            "HyperParameters": hyperparameters or {},
            "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **changes,
        }

    return make


@pytest.fixture
def artifact_of(client: Callable[[str], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the JSON files in the artifact of a job, by name."""

    def read(job: dict[str, Any]) -> dict[str, Any]:
        bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
        body = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            opened = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
            return {path: json.load(file) for path, file in opened.items() if file is not None}

    return read


@pytest.fixture
def train(
    client: Callable[[str], Any], training_request: Callable[..., dict[str, Any]], ended: Callable[..., dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """Run a training job to its end; return its description."""

    def run(hyperparameters: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        request = training_request(hyperparameters, **changes)
        client("sagemaker").create_training_job(**request)
        return ended(request["TrainingJobName"], "TrainingJob")

    return run
