"""SageMaker's resource types in CloudFormation, built on the service's operations."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from localcloud.sagemaker.service import SageMaker
from localcloud.sagemaker.store import Record

Created = tuple[str, dict[str, str]]


class ResourceType:
    """A resource type, `AWS::SageMaker::<noun>`. Only tags and policy can change without a replacement."""

    def __init__(self, service: SageMaker, noun: str):
        self._service = service
        self._noun = noun

    def handlers(self) -> dict[str, Callable[..., object]]:
        """Return the functions that CloudFormation calls, by event."""
        return {"create": self.create, "update": self.update, "delete": self.delete}

    def create(self, logical_id: str, properties: Record, stack_name: str) -> Created:
        """Create the resource; return its ARN as physical id, and its attributes."""
        name = properties.get(f"{self._noun}Name") or f"{stack_name}-{logical_id}-{uuid.uuid4().hex[:8]}"[-63:]
        request = {member: value for member, value in properties.items() if member != f"{self._noun}Policy"}
        arn = self._service.perform(f"Create{self._noun}", {**request, f"{self._noun}Name": name})[f"{self._noun}Arn"]
        return arn, self._attributes(arn, name)

    def update(self, physical_id: str, old: Record, new: Record, _stack_name: str) -> Created:
        """Change tags; raise ValueError for a property that needs a new resource."""
        changed = {member for member in {*old, *new} if old.get(member) != new.get(member)}
        frozen = changed - {"Tags", f"{self._noun}Policy"}
        if frozen:
            members = ", ".join(sorted(frozen))
            raise ValueError(f"{members} of {physical_id} cannot be changed in place; give the resource a new name.")
        if "Tags" in changed:
            gone = {tag["Key"] for tag in old.get("Tags", [])} - {tag["Key"] for tag in new.get("Tags", [])}
            if gone:
                self._service.perform("DeleteTags", {"ResourceArn": physical_id, "TagKeys": sorted(gone)})
            if new.get("Tags"):
                self._service.perform("AddTags", {"ResourceArn": physical_id, "Tags": new["Tags"]})
        return physical_id, self._attributes(physical_id, new.get(f"{self._noun}Name") or _name_in(physical_id))

    def delete(self, physical_id: str, properties: Record) -> None:
        """Delete the resource."""
        name = properties.get(f"{self._noun}Name") or _name_in(physical_id)
        self._service.perform(f"Delete{self._noun}", {f"{self._noun}Name": name})

    def _attributes(self, arn: str, name: str) -> dict[str, str]:
        return {f"{self._noun}Arn": arn, f"{self._noun}Name": name}


def _name_in(arn: str) -> str:
    return arn.rpartition("/")[2]
