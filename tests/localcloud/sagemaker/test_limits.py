from __future__ import annotations

import time

import pytest

from localcloud.options import OptionError
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.quotas import Quotas
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


@pytest.mark.parametrize("usage", ["transform job", "training job", "processing job", "endpoint"])
def test_a_quota_of_0_refuses_in_awss_own_words(store, usage):
    name = f"ml.m5.xlarge for {usage} usage"
    limits = Limits(store, instances=20, creates_a_second=0, quotas=Quotas(f"{name}=0", 20))
    with pytest.raises(ServiceError) as error:
        limits.check_instances("ml.m5.xlarge", 1, usage)
    assert error.value.code == "ResourceLimitExceeded"
    assert error.value.message == (
        f"The account-level service limit '{name}' is 0 Instances, with current utilization of 0 Instances and a "
        "request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota."
    )
    limits.check_instances("ml.m5.2xlarge", 1, usage)


def test_a_quota_that_was_set_counts_its_own_instance_type_and_use_alone(store):
    quotas = Quotas("ml.m5.large for transform job usage=2, ml.m5.large for training job usage=9", 20)
    limits = Limits(store, instances=20, creates_a_second=0, quotas=quotas)
    one = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
    store.transform_jobs["a"] = {"TransformJobStatus": "InProgress", "TransformResources": one}
    store.training_jobs["b"] = {"TrainingJobStatus": "InProgress", "ResourceConfig": {**one, "InstanceCount": 9}}
    limits.check_instances("ml.m5.large", 1, "transform job")
    with pytest.raises(ServiceError, match="is 2 Instances, with current utilization of 1 Instances"):
        limits.check_instances("ml.m5.large", 2, "transform job")
    with pytest.raises(ServiceError, match="is 9 Instances, with current utilization of 9 Instances"):
        limits.check_instances("ml.m5.large", 1, "training job")


@pytest.mark.parametrize("text", ["ml.m5.xlarge=0", "ml.m5.large for transform job usage=-1", "a", "=1"])
def test_a_quota_that_aws_does_not_have_or_that_is_no_number_ends_the_start(text):
    with pytest.raises(OptionError, match="SAGEMAKER_QUOTAS"):
        Quotas(text, 20)
