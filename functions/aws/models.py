"""SageMaker Models: the request that makes one, and whether an existing one is the one requested.

Any caller with the permission may have taken a Model's name before. Only its description says what it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What DescribeModel adds to what was requested.
ADDED = frozenset({"ModelArn", "CreationTime", "DeploymentRecommendation", "ResponseMetadata"})
NOTHING: tuple[Any, ...] = (None, "", {}, [], False)
# What DescribeModel may answer about a container that was requested without it.
DEFAULTS = {"Mode": "SingleModel", "ImageConfig": {"RepositoryAccessMode": "Platform"}}


def request(name: str, *, image: str, data_url: str, role_arn: str) -> dict[str, Any]:
    """Return the CreateModel request of a Model with one container, isolated from the network."""
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": data_url},
        "ExecutionRoleArn": role_arn,
        "EnableNetworkIsolation": True,
    }


def differences(asked: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the sorted names of the members in which a described Model differs from the one ``asked`` for.

    A member that was not asked for differs too: environment, VPC, further containers, another mode, and any member that
    this code does not know.
    """
    wanted, had = _flat(asked), _flat(found)
    return sorted(name for name in wanted.keys() | had.keys() if wanted.get(name) != had.get(name))


def _flat(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a Model and of its one container, under one name each, without empty and default values."""
    container = model.get("PrimaryContainer") or {}
    members = {name: value for name, value in model.items() if name not in ADDED | {"PrimaryContainer"}}
    usual = {**DEFAULTS, "ModelDataSource": _source(container.get("ModelDataUrl"))}
    members |= {f"PrimaryContainer.{name}": value for name, value in container.items() if value != usual.get(name)}
    return {name: value for name, value in members.items() if value not in NOTHING}


def _source(data_url: Any) -> dict[str, Any]:
    """Return the longer form of a ModelDataUrl."""
    return {"S3DataSource": {"S3Uri": data_url, "S3DataType": "S3Object", "CompressionType": "Gzip"}}
