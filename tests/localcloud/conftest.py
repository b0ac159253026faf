"""One local cloud for the whole folder, without a stack, and factories of what tests put into it."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud import cloud
from tests.localcloud.example import PROJECT


@pytest.fixture(scope="session", autouse=True)
def _port_of_this_process() -> None:
    """Use the port that keeps the local clouds of parallel test processes apart."""
    os.environ["EXAMPLE_PORT"] = os.environ["WETREAD_PORT"]


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cloud.Cloud]:
    """A running local cloud with nothing deployed; its containers run the fake image."""
    settings = {
        "EXAMPLE_HOME": str(tmp_path_factory.mktemp("home")),
        "EXAMPLE_LAMBDA_IDLE_SECONDS": "5",
        "EXAMPLE_SAGEMAKER_PING_SECONDS": "3",
        "EXAMPLE_SAGEMAKER_INSTANCE_QUOTA": "8",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        started = cloud.start(PROJECT, tether=True)
    yield started
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXAMPLE_HOME", settings["EXAMPLE_HOME"])
        cloud.down(PROJECT, wipe=True)


@pytest.fixture(scope="session")
def session(here: cloud.Cloud) -> boto3.Session:
    return here.session()


@pytest.fixture(scope="session")
def client(session: boto3.Session) -> Callable[[str], Any]:
    """Return a client by service name, each made once."""
    made: dict[str, Any] = {}
    return lambda service: made.setdefault(service, session.client(service))


@pytest.fixture
def name() -> str:
    """A unique name."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Wait until a function returns a truthy value, and return it."""

    def wait(ask: Callable[[], Any], seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            assert time.monotonic() < deadline, f"still {answer!r} after {seconds} seconds"
            time.sleep(0.05)
        return answer

    return wait


@pytest.fixture
def role(client: Callable[[str], Any], name: str) -> Callable[..., str]:
    """Make a role that `service` may assume, allowed `statements` of (action, resource); return its ARN."""

    def make(service: str, *statements: tuple[str, str]) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        role_name = f"{name}-{uuid.uuid4().hex[:6]}"
        iam = client("iam")
        arn: str = iam.create_role(
            RoleName=role_name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements]
        if allowed:
            document = {"Version": "2012-10-17", "Statement": allowed}
            iam.put_role_policy(RoleName=role_name, PolicyName="allowed", PolicyDocument=json.dumps(document))
        return arn

    return make


@pytest.fixture(scope="session")
def zipped() -> Callable[[dict[str, str]], bytes]:
    """Make a zip archive of texts by path."""

    def make(files: dict[str, str]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return buffer.getvalue()

    return make


@pytest.fixture
def function(
    client: Callable[[str], Any], role: Callable[..., str], name: str, zipped: Callable[[dict[str, str]], bytes]
) -> Iterator[Callable[..., str]]:
    """Make a function with `source` and the handler `code.handler`; return its name. The test's end deletes it."""
    made: list[str] = []

    def make(source: str, *statements: tuple[str, str], **settings: Any) -> str:
        function_name = f"{name}-{len(made)}"
        client("lambda").create_function(
            FunctionName=function_name,
            Runtime="python3.11",
            Handler="code.handler",
            Role=role("lambda.amazonaws.com", *statements),
            Code={"ZipFile": zipped({"code.py": source})},
            **{"Timeout": 20, **settings},
        )
        made.append(function_name)
        return function_name

    yield make
    for function_name in made:
        client("lambda").delete_function(FunctionName=function_name)


@pytest.fixture
def invoke(client: Callable[[str], Any]) -> Callable[..., tuple[Any, bool]]:
    """Invoke a function; return its answer and whether that is an error."""

    def call(function_name: str, event: Any = None) -> tuple[Any, bool]:
        answer = client("lambda").invoke(FunctionName=function_name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    return call


@pytest.fixture
def bucket(client: Callable[[str], Any], name: str) -> str:
    """A new bucket."""
    client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def queue(client: Callable[[str], Any], name: str) -> Callable[..., tuple[str, str]]:
    """Make a queue; return its URL and ARN."""

    def make(suffix: str = "", **attributes: str) -> tuple[str, str]:
        sqs = client("sqs")
        url = sqs.create_queue(QueueName=f"{name}{suffix}", Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    return make


@pytest.fixture
def received(client: Callable[[str], Any]) -> Callable[..., list[Any]]:
    """Receive the next messages of a queue and return their bodies, JSON decoded."""

    def receive(url: str, seconds: int = 0) -> list[Any]:
        answer = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    return receive


@pytest.fixture(scope="session")
def assembly() -> Callable[..., None]:
    """Write a cloud assembly of one stack, with `folders` of files as zip assets, as CDK's synthesis does."""

    def write(
        output: Path,
        template: dict[str, Any],
        stack: str = "Example",
        folders: dict[str, dict[str, str]] | None = None,
    ) -> None:
        output.mkdir(parents=True, exist_ok=True)
        body = json.dumps(template)
        (output / f"{stack}.template.json").write_text(body)
        sources = {f"{stack}.template.json": ("file", f"{uuid.uuid4().hex}.json")}
        for folder, files in (folders or {}).items():
            for path, text in files.items():
                file = output / f"asset.{folder}" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            sources[f"asset.{folder}"] = ("zip", f"{stack}-{folder}.zip")
        bucket = "cdk-assets-${AWS::AccountId}-${AWS::Region}"
        assets = {
            path: {
                "source": {"path": path, "packaging": packaging},
                "destinations": {"current": {"bucketName": bucket, "objectKey": key}},
            }
            for path, (packaging, key) in sources.items()
        }
        (output / f"{stack}.assets.json").write_text(json.dumps({"files": assets}))
        properties = {
            "templateFile": f"{stack}.template.json",
            "bootstrapStackVersionSsmParameter": "/cdk-bootstrap/test/version",
            "tags": {"owner": "team"},
        }
        artifacts = {
            stack: {"type": "aws:cloudformation:stack", "properties": properties},
            f"{stack}.assets": {"type": "cdk:asset-manifest", "properties": {}},
        }
        (output / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))

    return write
