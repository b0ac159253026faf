"""Deploy a cloud assembly with boto3: publish its file assets, then create or update its stacks."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.deploy.images import Images

_CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_UNUSABLE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"})
_WHOLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
_BOOTSTRAP_VERSION = "30"
_POLL_SECONDS = 0.2
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)

Progress = Callable[[str], None]


class DeployError(Exception):
    """A stack could not be created or updated; the message names the resource that failed and why."""


class Deployer:
    """Deploys assemblies to the cloud of a session."""

    def __init__(self, session: boto3.Session, endpoint: str, progress: Progress):
        self._s3 = session.client("s3")
        self._images = Images(session)
        self._stacks = session.client("cloudformation")
        self._parameters = session.client("ssm")
        self._endpoint = endpoint
        self._progress = progress

    def deploy(self, assembly: Path) -> list[str]:
        """Deploy every stack of the assembly; return their names in order of deployment."""
        manifest = json.loads((assembly / "manifest.json").read_text())
        stacks = {
            identifier: artifact
            for identifier, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        }
        return [self._deploy_stack(assembly, identifier, artifact) for identifier, artifact in stacks.items()]

    def complete(self, name: str) -> bool:
        """Return whether a stack of this name exists and is complete."""
        return self._status(name) in _WHOLE

    def _deploy_stack(self, assembly: Path, identifier: str, artifact: dict[str, Any]) -> str:
        properties = artifact["properties"]
        name = str(properties.get("stackName", identifier))
        template_file = properties["templateFile"]
        parameter = properties.get("bootstrapStackVersionSsmParameter")
        if parameter:
            self._parameters.put_parameter(Name=parameter, Value=_BOOTSTRAP_VERSION, Type="String", Overwrite=True)
        assets = json.loads((assembly / f"{identifier}.assets.json").read_text())
        locations = {asset["source"]["path"]: self._publish(assembly, asset) for asset in assets["files"].values()}
        for asset in assets.get("dockerImages", {}).values():
            (destination,) = asset["destinations"].values()
            self._images.publish(asset, _resolve(destination["repositoryName"]))
        template = json.loads((assembly / template_file).read_text())
        self._progress(f"Deploying stack {name}: {len(template['Resources'])} resources.")
        tags = [{"Key": key, "Value": value} for key, value in properties.get("tags", {}).items()]
        self._create_or_update(
            StackName=name,
            TemplateURL=f"{self._endpoint}/{locations[template_file]}",
            Capabilities=_CAPABILITIES,
            Tags=tags,
        )
        return name

    def _publish(self, assembly: Path, asset: dict[str, Any]) -> str:
        """Upload one file asset unless its key, made from its content, exists; return `bucket/key`."""
        (destination,) = asset["destinations"].values()
        bucket, key = _resolve(destination["bucketName"]), _resolve(destination["objectKey"])
        if not self._exists(bucket, key):
            source = assembly / asset["source"]["path"]
            body = _zip(source) if asset["source"]["packaging"] == "zip" else source.read_bytes()
            self._s3.put_object(Bucket=bucket, Key=key, Body=body)
        return f"{bucket}/{key}"

    def _exists(self, bucket: str, key: str) -> bool:
        self._s3.create_bucket(Bucket=bucket)  # in us-east-1 the owner may create a bucket again
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def _create_or_update(self, **request: Any) -> None:
        name = request["StackName"]
        status = self._status(name)
        if status in _UNUSABLE:
            self._stacks.delete_stack(StackName=name)
            self._settle(name, {"DELETE_COMPLETE", None})
            status = None
        fresh = status is None or status == "DELETE_COMPLETE"
        try:
            if fresh:
                self._stacks.create_stack(**request)
            else:
                self._stacks.update_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return
            raise DeployError(f"Stack {name} cannot be deployed: {error}") from error
        self._settle(name, {"CREATE_COMPLETE" if fresh else "UPDATE_COMPLETE"})

    def _status(self, name: str) -> str | None:
        try:
            return self._stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def _settle(self, name: str, wanted: set[str | None]) -> None:
        """Wait until the stack's operation has ended; raise DeployError unless its status is `wanted`."""
        while (status := self._status(name)) is not None and status.endswith("_IN_PROGRESS"):
            time.sleep(_POLL_SECONDS)
        if status not in wanted:
            raise DeployError(f"Stack {name} is {status}. {self._failure(name)}")

    def _failure(self, name: str) -> str:
        """Return the first failures among the stack's latest events, a sentence each."""
        failures: list[str] = []
        for event in self._stacks.describe_stack_events(StackName=name)["StackEvents"]:
            if event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS") and (
                event["LogicalResourceId"] == name
            ):
                break  # older events belong to earlier deployments
            if event["ResourceStatus"].endswith("_FAILED"):
                reason = event.get("ResourceStatusReason", "no reason is given")
                failures.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}.")
        return " ".join(reversed(failures)) or "No event says why; see the log of the local cloud."


def _resolve(text: str) -> str:
    for placeholder, value in (("AccountId", ACCOUNT_ID), ("Region", REGION), ("Partition", "aws")):
        text = text.replace(f"${{AWS::{placeholder}}}", value)
    return text


def _zip(folder: Path) -> bytes:
    """Return the files below a folder as a zip archive that depends on names and contents only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_DATE)
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
