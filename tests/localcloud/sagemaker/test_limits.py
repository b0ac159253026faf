from __future__ import annotations

import time

import pytest

from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.store import Store


@pytest.fixture
def store():
    return Store(lambda: None)


def test_running_jobs_of_all_kinds_use_up_the_quota(store):
    limits = Limits(store, instances=3, creates_a_second=0)
    store.transform_jobs["a"] = {"TransformJobStatus": "Stopping", "TransformResources": {"InstanceCount": 1}}
    store.transform_jobs["b"] = {"TransformJobStatus": "Completed", "TransformResources": {"InstanceCount": 9}}
    store.training_jobs["c"] = {"TrainingJobStatus": "InProgress", "ResourceConfig": {"InstanceCount": 1}}
    limits.check_instances("ml.m5.large", 1, "transform job")
    with pytest.raises(ServiceError, match="current utilization of 2 Instances and a request delta of 2") as error:
        limits.check_instances("ml.m5.large", 2, "transform job")
    assert error.value.code == "ResourceLimitExceeded"


def test_endpoints_use_up_the_quota_until_they_are_gone_and_serverless_ones_never(store):
    limits = Limits(store, instances=6, creates_a_second=0)
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    for status in ("Creating", "InService", "Deleting", "Failed"):
        store.endpoints[status] = {"EndpointStatus": status, "Variant": variant}
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 50}}
    store.endpoints["serverless"] = {"EndpointStatus": "InService", "Variant": serverless}
    with pytest.raises(ServiceError, match=r"'ml\.m5\.large for endpoint usage' is 6 .* utilization of 6"):
        limits.check_instances("ml.m5.large", 1, "endpoint")
    del store.endpoints["Deleting"]
    limits.check_instances("ml.m5.large", 2, "endpoint")


def test_calls_that_come_too_fast_are_throttled_until_time_has_passed(store, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limits = Limits(store, instances=1, creates_a_second=2)
    limits.count_call()
    limits.count_call()
    with pytest.raises(ServiceError, match="Rate exceeded") as error:
        limits.count_call()
    assert error.value.code == "ThrottlingException"
    now += 0.5
    limits.count_call()


def test_without_a_rate_nothing_is_throttled(store):
    limits = Limits(store, instances=1, creates_a_second=0)
    for _call in range(1000):
        limits.count_call()
