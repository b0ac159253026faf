"""Service quotas: instances in use, and Create calls a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.quotas import Quotas, name_of
from localcloud.sagemaker.store import Record, Store

_ACTIVE = frozenset({"InProgress", "Stopping", "Creating", "InService", "Deleting"})


class Limits:
    """The account's quotas of instances and the rate of Create calls.

    A quota that was set counts its instance type and use alone, as on AWS; all others share `instances`.
    """

    def __init__(self, store: Store, *, instances: int, creates_a_second: float, quotas: Quotas | None = None):
        self._store = store
        self._instances = instances
        self._quotas = quotas or Quotas("", instances)
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
        name = name_of(instance_type, usage)
        own = self._quotas.own(name)
        limit = self._instances if own is None else own
        used = sum(count for other, count in self._used() if own is None or other == name)
        if used + wanted > limit:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{name}' is {limit} Instances, "
                f"with current utilization of {used} Instances and a request delta of {wanted} Instances. "
                "Please use AWS Service Quotas to request an increase for this quota.",
            )

    def _used(self) -> Iterator[tuple[str, int]]:
        """Yield the quota's name and the number of instances of each running job and endpoint."""
        for job in self._store.transform_jobs.values():
            if job["TransformJobStatus"] in _ACTIVE:
                yield _use(job["TransformResources"], "transform job")
        for job in self._store.training_jobs.values():
            if job["TrainingJobStatus"] in _ACTIVE:
                yield _use(job["ResourceConfig"], "training job")
        for job in self._store.processing_jobs.values():
            if job["ProcessingJobStatus"] in _ACTIVE:
                yield _use(job["ProcessingResources"]["ClusterConfig"], "processing job")
        for endpoint in self._store.endpoints.values():
            variant = endpoint["Variant"]
            if endpoint["EndpointStatus"] in _ACTIVE and "InstanceType" in variant:  # a serverless one has no instances
                yield name_of(variant["InstanceType"], "endpoint"), variant["InitialInstanceCount"]


def _use(resources: Record, usage: str) -> tuple[str, int]:
    return name_of(str(resources.get("InstanceType")), usage), resources["InstanceCount"]
