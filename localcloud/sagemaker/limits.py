"""Service quotas: instances in use, and Create calls a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.store import Store

_ACTIVE = frozenset({"InProgress", "Stopping", "Creating", "InService", "Deleting"})


class Limits:
    """The account's quota of instances and the rate of Create calls."""

    def __init__(self, store: Store, *, instances: int, creates_a_second: float):
        self._store = store
        self._instances = instances
        self._rate = creates_a_second
        self._lock = threading.Lock()
        self._allowance = max(1.0, creates_a_second)
        self._seen = time.monotonic()

    def count_call(self) -> None:
        """Count one Create call; raise ThrottlingException if they come too fast."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            self._allowance = min(max(1.0, self._rate), self._allowance + (now - self._seen) * self._rate)
            self._seen = now
            if self._allowance < 1.0:
                raise ServiceError("ThrottlingException", "Rate exceeded")
            self._allowance -= 1.0

    def check_instances(self, instance_type: str, wanted: int, usage: str) -> None:
        """Raise ResourceLimitExceeded unless `wanted` more instances fit. `usage` is "transform job" or similar."""
        used = sum(self._used())
        if used + wanted > self._instances:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{instance_type} for {usage} usage' is {self._instances} Instances, "
                f"with current utilization of {used} Instances and a request delta of {wanted} Instances. "
                "Please use AWS Service Quotas to request an increase for this quota.",
            )

    def _used(self) -> Iterator[int]:
        for job in self._store.transform_jobs.values():
            if job["TransformJobStatus"] in _ACTIVE:
                yield job["TransformResources"]["InstanceCount"]
        for job in self._store.training_jobs.values():
            if job["TrainingJobStatus"] in _ACTIVE:
                yield job["ResourceConfig"]["InstanceCount"]
        for job in self._store.processing_jobs.values():
            if job["ProcessingJobStatus"] in _ACTIVE:
                yield job["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        for endpoint in self._store.endpoints.values():
            if endpoint["EndpointStatus"] in _ACTIVE:
                yield endpoint["Variant"].get("InitialInstanceCount", 0)  # a serverless endpoint has no instances
