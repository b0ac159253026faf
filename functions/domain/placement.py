"""What an account demands of everything that the service makes in SageMaker: a network, and tags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Subnets and security groups by id, both empty without a VPC; tags as ``key=value``."""

    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    resource_tags: tuple[str, ...] = ()

    @property
    def vpc_config(self) -> dict[str, list[str]]:
        """Return the VpcConfig of a request to SageMaker; {} without a VPC."""
        if not self.subnet_ids:
            return {}
        return {"Subnets": list(self.subnet_ids), "SecurityGroupIds": list(self.security_group_ids)}

    @property
    def tags(self) -> list[Any]:
        """Return the Tags of a request to SageMaker."""
        return tags_of(self.resource_tags)


def tags_of(resource_tags: Iterable[str]) -> list[Any]:
    """Return ``key=value`` texts as AWS's tags. A key has no ``=``, a value may."""
    pairs = (one.partition("=") for one in resource_tags)
    return [{"Key": key, "Value": value} for key, _, value in pairs]
