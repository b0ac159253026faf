"""SageMaker's hosting in memory: one endpoint at most, that moves on to its next status with each look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.fakes.wire import client_error


class Hosting:
    """``statuses`` of a new endpoint in turn; a deleted one is gone after ``gone_after`` polls."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.statuses = ["Creating", "InService"]
        self.failure = ""
        self.gone_after = 2
        self.calls: list[str] = []
        self.group: str | None = "Completed"

    def exists(
        self, *, model: str = "wetread/3", instance_type: str = "ml.m5.xlarge", status: str = "InService"
    ) -> None:
        """Put an endpoint with its configuration and Model there."""
        self.statuses = [status]
        self.made = {
            "model": {},
            "endpoint configuration": {"ProductionVariants": [{"InstanceType": instance_type}]},
            "endpoint": {"Tags": [{"Key": "wetread:model", "Value": model}]},
        }

    def describe_model_package_group(self, *, ModelPackageGroupName: str) -> dict[str, Any]:  # noqa: N803
        if self.group is None:
            raise client_error("ValidationException", f"ModelPackageGroup {ModelPackageGroupName} does not exist.")
        return {"ModelPackageGroupStatus": self.group}

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        found = self._find("endpoint")
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == "Deleting":
            self.gone_after -= 1
            if self.gone_after <= 0:
                del self.made["endpoint"]
        failed = {"FailureReason": self.failure} if self.failure else {}
        return {
            "EndpointArn": f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{EndpointName}",
            "EndpointStatus": status,
            "CreationTime": datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
            **found,
            **failed,
        }

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return self._find("endpoint configuration")

    def list_tags(self, *, ResourceArn: str) -> dict[str, Any]:  # noqa: N803
        return {"Tags": self._find("endpoint")["Tags"]}

    def delete_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append("delete_endpoint")
        self._find("endpoint")
        if self.statuses[0] == "Creating":
            raise client_error("ValidationException", "Cannot update in-progress endpoint.")
        self.statuses = ["Deleting"]
        return {}

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return self._delete("endpoint configuration")

    def delete_model(self, *, ModelName: str) -> dict[str, Any]:  # noqa: N803
        return self._delete("model")

    def _delete(self, kind: str) -> dict[str, Any]:
        self.calls.append(f"delete {kind}")
        self._find(kind)
        del self.made[kind]
        return {}

    def _find(self, kind: str) -> dict[str, Any]:
        if kind not in self.made:
            raise client_error("ValidationException", f'Could not find {kind} "arn".')
        return self.made[kind]
