"""The model registry: groups of model packages, with versions numbered from 1."""

from __future__ import annotations

import copy
import time
from typing import Any

from localcloud.sagemaker.errors import ServiceError, invalid
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.store import Record, Store, resource_arn

_DETAIL_TYPE = "SageMaker Model Package State Change"
_NOT_DESCRIBED = frozenset({"Tags", "ClientToken"})
_PROPERTIES = 50
_UPDATED = frozenset(
    {
        "ModelPackageArn",
        "ModelApprovalStatus",
        "ApprovalDescription",
        "CustomerMetadataProperties",
        "CustomerMetadataPropertiesToRemove",
        "ClientToken",
    }
)


class Registry:
    """The operations on model package groups and model packages."""

    def __init__(self, store: Store, events: Events):
        self._store = store
        self._events = events

    def create_group(self, request: Record) -> Record:
        """CreateModelPackageGroup."""
        name = request["ModelPackageGroupName"]
        arn = resource_arn("model-package-group", name)
        with self._store.lock:
            if name in self._store.groups:
                raise invalid(f"Model Package Group already exists: {arn}")
            self._store.groups[name] = {
                **{key: value for key, value in request.items() if key != "Tags"},
                "ModelPackageGroupArn": arn,
                "ModelPackageGroupStatus": "Completed",
                "CreationTime": time.time(),
                "LastVersion": 0,
            }
            self._store.tag(arn, request.get("Tags", []))
        return {"ModelPackageGroupArn": arn}

    def describe_group(self, request: Record) -> Record:
        """DescribeModelPackageGroup."""
        record = self._group(request["ModelPackageGroupName"])
        return {key: value for key, value in record.items() if key != "LastVersion"}

    def delete_group(self, request: Record) -> Record:
        """DeleteModelPackageGroup, which must be empty."""
        with self._store.lock:
            group = self._group(request["ModelPackageGroupName"])
            if self._versions(group["ModelPackageGroupName"]):
                raise ServiceError(
                    "ConflictException",
                    f"Model Package Group {group['ModelPackageGroupArn']} must not contain any model packages.",
                )
            del self._store.groups[group["ModelPackageGroupName"]]
        return {}

    def list_groups(self, request: Record) -> Record:
        """ListModelPackageGroups."""
        members = ("ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupStatus", "CreationTime")
        return page(
            list(self._store.groups.values()),
            request,
            answer="ModelPackageGroupSummaryList",
            name="ModelPackageGroupName",
            members=members,
        )

    def create_package(self, request: Record) -> Record:
        """CreateModelPackage: the next version of a group. The same ClientToken returns the same version."""
        if "ModelPackageGroupName" not in request:
            raise invalid("This local SageMaker has versioned model packages only; name a ModelPackageGroupName.")
        if request.get("Tags"):
            raise invalid("Tags are not allowed for a versioned model package. Tag its model package group instead.")
        token = request.get("ClientToken")
        with self._store.lock:
            group = self._group(request["ModelPackageGroupName"].rsplit("/", 1)[-1])
            name = group["ModelPackageGroupName"]
            for package in self._versions(name):
                if token is not None and package["ClientToken"] == token:
                    return {"ModelPackageArn": package["ModelPackageArn"]}
            group["LastVersion"] += 1
            arn = f"{resource_arn('model-package', name)}/{group['LastVersion']}"
            record = {
                "ModelApprovalStatus": "PendingManualApproval",
                **copy.deepcopy(request),
                "ModelPackageGroupName": name,
                "ClientToken": token,
                "ModelPackageArn": arn,
                "ModelPackageVersion": group["LastVersion"],
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreationTime": time.time(),
            }
            self._store.packages[arn] = record
        self._announce(record)
        return {"ModelPackageArn": arn}

    def describe_package(self, request: Record) -> Record:
        """DescribeModelPackage, by ARN."""
        return _described(self._package(request["ModelPackageName"]))

    def update_package(self, request: Record) -> Record:
        """UpdateModelPackage: approval, and properties added or removed. A new approval status sends an event."""
        unknown = ", ".join(sorted(request.keys() - _UPDATED))
        if unknown:
            raise invalid(f"{unknown} of a model package cannot be updated here.")
        with self._store.lock:
            record = self._package(request["ModelPackageArn"])
            properties: dict[str, Any] = {
                **record.get("CustomerMetadataProperties", {}),
                **request.get("CustomerMetadataProperties", {}),
            }
            for name in request.get("CustomerMetadataPropertiesToRemove", []):
                properties.pop(name, None)
            if len(properties) > _PROPERTIES:
                raise invalid(f"A model package has {_PROPERTIES} properties at most, not {len(properties)}.")
            approval = record["ModelApprovalStatus"]
            for member in ("ModelApprovalStatus", "ApprovalDescription"):
                if member in request:
                    record[member] = request[member]
            record.update(CustomerMetadataProperties=properties, LastModifiedTime=time.time())
        if record["ModelApprovalStatus"] != approval:
            self._announce(record)
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def delete_package(self, request: Record) -> Record:
        """DeleteModelPackage; its version number is not used again."""
        with self._store.lock:
            del self._store.packages[self._package(request["ModelPackageName"])["ModelPackageArn"]]
        return {}

    def list_packages(self, request: Record) -> Record:
        """ListModelPackages, of one group or of all, by approval."""
        group = request.get("ModelPackageGroupName", "").rsplit("/", 1)[-1]
        if group:
            self._group(group)
        packages = self._versions(group) if group else list(self._store.packages.values())
        approval = request.get("ModelApprovalStatus")
        members = (
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageArn",
            "ModelPackageDescription",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        return page(
            [package for package in packages if approval in (None, package["ModelApprovalStatus"])],
            request,
            answer="ModelPackageSummaryList",
            name="ModelPackageGroupName",
            members=members,
        )

    def _group(self, name: str) -> Record:
        for known, record in self._store.groups.items():
            if known.lower() == name.lower():
                return record
        raise invalid(f"ModelPackageGroup {resource_arn('model-package-group', name)} does not exist.")

    def _package(self, arn: str) -> Record:
        record = self._store.packages.get(arn)
        if record is None:
            raise invalid(f"ModelPackage {arn} does not exist.")
        return record

    def _versions(self, group: str) -> list[Record]:
        packages = self._store.packages.values()
        return [package for package in packages if package["ModelPackageGroupName"].lower() == group.lower()]

    def _announce(self, record: Record) -> None:
        self._events.send(_DETAIL_TYPE, record["ModelPackageArn"], _described(record))


def _described(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in _NOT_DESCRIBED}
