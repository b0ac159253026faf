"""SageMaker Models: the request that makes one, and whether an existing one is the one requested.

Any caller with the permission may have taken a Model's name before. Only its description says what it runs. So a name
ends in the digest of what the Model must run, and a description can be checked against the name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.artifacts import Artifacts
from functions.aws.items import error_code

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

DIGITS = 32  # hex digits of the digest in a name, which has at most 63 characters
OLD_DIGITS = 12  # in the names of champions that were promoted before 2026-11-28
# What DescribeModel adds to what was requested.
ADDED = frozenset({"ModelArn", "CreationTime", "DeploymentRecommendation", "ResponseMetadata"})
NOTHING: tuple[Any, ...] = (None, "", {}, [], False)
# What DescribeModel may answer about a container that was requested without it.
DEFAULTS = {"Mode": "SingleModel", "ImageConfig": {"RepositoryAccessMode": "Platform"}}


def name_of(model_package: str, *, sha256: str, image: str, role_arn: str, vpc: Mapping[str, Any]) -> str:
    """Return the name of the Model that runs this image with the artifact of this digest (hex) in this role.

    ``vpc`` is its VpcConfig, {} without one.
    """
    return f"{model_package.replace('/', '-')}-{_makings(sha256, image, role_arn, vpc)[:DIGITS]}".lower()


class Models:
    """The Models with artifacts in one models bucket."""

    def __init__(self, client: SageMakerClient, artifacts: Artifacts) -> None:
        self._client = client
        self._artifacts = artifacts

    def is_itself(self, name: str) -> bool:
        """Return whether a Model of that name exists, and runs what the name's digest says."""
        try:
            found: Mapping[str, Any] = self._client.describe_model(ModelName=name)
        except ClientError as error:
            if error_code(error) in {"ValidationException", "ResourceNotFound"}:
                return False
            raise
        container = found.get("PrimaryContainer", {})
        image, uri = container.get("Image", ""), container.get("ModelDataUrl", "")
        role_arn, sha256 = found.get("ExecutionRoleArn", ""), self._artifacts.digest_in(uri)
        vpc = found.get("VpcConfig") or {}
        digits = name.rpartition("-")[2]
        return (
            len(digits) in {DIGITS, OLD_DIGITS}
            and _makings(sha256, image, role_arn, vpc).startswith(digits)
            and not differences(request(name, image=image, data_url=uri, role_arn=role_arn, vpc=vpc), found)
        )


def request(name: str, *, image: str, data_url: str, role_arn: str, vpc: Mapping[str, Any]) -> dict[str, Any]:
    """Return the CreateModel request of a Model with one container, isolated from the network.

    With a VpcConfig SageMaker moves the data of its jobs through that network; the container has none all the same.
    """
    asked: dict[str, Any] = {
        "ModelName": name,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": data_url},
        "ExecutionRoleArn": role_arn,
        "EnableNetworkIsolation": True,
    }
    return asked | ({"VpcConfig": dict(vpc)} if vpc else {})


def differences(asked: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the sorted names of the members in which a described Model differs from the one ``asked`` for.

    A member that was not asked for differs too: environment, VPC, further containers, another mode, and any member that
    this code does not know.
    """
    wanted, had = _flat(asked), _flat(found)
    return sorted(name for name in wanted.keys() | had.keys() if wanted.get(name) != had.get(name))


def _makings(sha256: str, image: str, role_arn: str, vpc: Mapping[str, Any]) -> str:
    network = f"\0{_network(vpc)}" if vpc else ""  # a Model without a network keeps its earlier name
    return hashlib.sha256(f"{sha256}\0{image}\0{role_arn}{network}".encode()).hexdigest()


def _network(vpc: Mapping[str, Any]) -> str:
    """Return a VpcConfig as one text, whatever the order of its ids."""
    return "\0".join(f"{name}={','.join(sorted(ids))}" for name, ids in sorted(vpc.items()))


def _flat(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a Model and of its one container, under one name each, without empty and default values."""
    container = model.get("PrimaryContainer") or {}
    members = {name: value for name, value in model.items() if name not in ADDED | {"PrimaryContainer"}}
    usual = {**DEFAULTS, "ModelDataSource": _source(container.get("ModelDataUrl"))}
    members |= {f"PrimaryContainer.{name}": value for name, value in container.items() if value != usual.get(name)}
    if vpc := members.get("VpcConfig"):
        members["VpcConfig"] = _network(vpc)
    return {name: value for name, value in members.items() if value not in NOTHING}


def _source(data_url: Any) -> dict[str, Any]:
    """Return the longer form of a ModelDataUrl."""
    return {"S3DataSource": {"S3Uri": data_url, "S3DataType": "S3Object", "CompressionType": "Gzip"}}
