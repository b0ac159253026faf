"""Quotas are found by name, whatever page or list they are on, and compared with what the jobs use."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from wetread.deployment import Hosts
from wetread.operations.quotas import Quotas

TRAINING = Hosts(usage="training job", instance_type="ml.g5.xlarge", of_one=2, jobs=1)
TRANSFORM = Hosts(usage="transform job", instance_type="ml.m5.xlarge", of_one=1, jobs=4)
BY_TYPE, OVER_ALL = "ml.g5.xlarge for training job usage", "Number of instances across all training jobs"


def quota(name: str, value: float, code: str = "L-1", *, adjustable: bool = True) -> dict[str, Any]:
    arn = f"arn:aws:servicequotas:eu-west-1:123456789012:sagemaker/{code}"
    return {"QuotaName": name, "QuotaCode": code, "QuotaArn": arn, "Value": value, "Adjustable": adjustable}


def others(number: int) -> list[dict[str, Any]]:
    return [quota(f"ml.x{number}.large for training job usage", 9) for number in range(number)]


@pytest.fixture
def stubbed():
    client = boto3.client(
        "service-quotas",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"max_attempts": 1}),
    )
    with Stubber(client) as stubber:
        stubber.quotas = Quotas(client)
        yield stubber
        stubber.assert_no_pending_responses()


def over_all(stubbed: Any, value: float = 20) -> None:
    stubbed.add_response("get_service_quota", {"Quota": quota(OVER_ALL, value, "L-00C91CB5")})


def listed(stubbed: Any, quotas: list[dict[str, Any]], token: str = "", then: str = "", operation: str = "") -> None:
    expected = {"ServiceCode": "sagemaker"} | ({"NextToken": token} if token else {})
    answer = {"Quotas": quotas} | ({"NextToken": then} if then else {})
    stubbed.add_response(operation or "list_service_quotas", answer, expected)


def test_a_quota_on_a_later_page_is_found_and_no_page_after_it_is_asked(stubbed) -> None:
    listed(stubbed, others(100), then="two")
    listed(stubbed, [*others(99), quota(BY_TYPE, 2)], token="two", then="three")
    over_all(stubbed)
    assert stubbed.quotas.shortage(TRAINING) is None
    assert stubbed.quotas.shortage(TRAINING) is None


def test_a_quota_that_the_account_has_no_value_of_is_aws_s_default(stubbed) -> None:
    listed(stubbed, others(100), then="two")
    listed(stubbed, others(3), token="two")
    listed(stubbed, others(100), then="zwei", operation="list_aws_default_service_quotas")
    listed(stubbed, [quota(BY_TYPE, 0)], token="zwei", operation="list_aws_default_service_quotas")
    over_all(stubbed)
    shortage = stubbed.quotas.shortage(TRAINING)
    assert shortage.is_final
    assert shortage.quota.value == 0


def test_the_account_s_own_value_counts_and_not_the_default(stubbed) -> None:
    listed(stubbed, [quota(BY_TYPE, 8)])
    over_all(stubbed)
    assert stubbed.quotas.shortage(TRAINING) is None


def test_a_quota_in_neither_list_is_a_type_that_the_region_does_not_offer(stubbed) -> None:
    listed(stubbed, others(100))
    listed(stubbed, others(100), operation="list_aws_default_service_quotas")
    over_all(stubbed)
    assert stubbed.quotas.of(TRAINING) == []


def test_a_quota_with_a_known_code_takes_one_request_each(stubbed) -> None:
    stubbed.add_response("get_service_quota", {"Quota": quota("ml.m5.xlarge for transform job usage", 4, "L-7939E4EC")})
    stubbed.add_response(
        "get_service_quota", {"Quota": quota("Number of instances across all transform jobs", 20, "L-60D2A6F0")}
    )
    assert stubbed.quotas.shortage(TRANSFORM) is None


def test_a_code_that_names_another_quota_or_nothing_is_looked_up_by_name(stubbed) -> None:
    stubbed.add_response("get_service_quota", {"Quota": quota("ml.p5.48xlarge for cluster usage", 0, "L-7939E4EC")})
    listed(
        stubbed,
        [
            quota("ml.m5.xlarge for transform job usage", 4),
            quota("Number of instances across all transform jobs", 3, "L-2"),
        ],
    )
    shortage = stubbed.quotas.shortage(TRANSFORM)
    assert not shortage.is_final
    assert "'Number of instances across all transform jobs' is 3" in shortage.what


def test_a_known_code_without_a_value_is_looked_up_by_name(stubbed) -> None:
    bare = quota("ml.m5.xlarge for transform job usage", 0, "L-7939E4EC")
    del bare["Value"]
    bare["ErrorReason"] = {"ErrorCode": "DEPENDENCY_THROTTLING_ERROR", "ErrorMessage": "Try again."}
    stubbed.add_response("get_service_quota", {"Quota": bare})
    listed(
        stubbed,
        [
            quota("ml.m5.xlarge for transform job usage", 4),
            quota("Number of instances across all transform jobs", 20, "L-2"),
        ],
    )
    assert stubbed.quotas.shortage(TRANSFORM) is None


def test_a_quota_over_all_types_is_a_bound_too(stubbed) -> None:
    listed(stubbed, [quota(BY_TYPE, 8)])
    over_all(stubbed, 1)
    shortage = stubbed.quotas.shortage(TRAINING)
    assert shortage.is_final
    assert OVER_ALL in shortage.what
    assert "--quota-code L-00C91CB5 --desired-value 2 --region eu-west-1" in shortage.remedy


def test_spot_hosts_have_a_quota_of_another_name(stubbed) -> None:
    hosts = Hosts(usage="spot training job", instance_type="ml.g5.xlarge", of_one=1, jobs=1)
    names = "ml.g5.xlarge for spot training job usage", "Number of instances across all spot training jobs"
    listed(stubbed, [quota(BY_TYPE, 0), *(quota(name, 1) for name in names)])
    assert [one.name for one in stubbed.quotas.of(hosts)] == [*names]
    assert stubbed.quotas.shortage(hosts) is None


def test_a_quota_that_no_request_raises_has_no_command(stubbed) -> None:
    listed(stubbed, [quota(BY_TYPE, 0, adjustable=False)])
    over_all(stubbed)
    assert "aws service-quotas" not in stubbed.quotas.shortage(TRAINING).remedy


def test_a_denial_is_the_answer_to_every_quota_that_is_not_known(stubbed) -> None:
    listed(stubbed, others(100), then="two")
    stubbed.add_client_error("list_service_quotas", "AccessDeniedException", "no", 400)
    for _ in range(2):
        with pytest.raises(ClientError, match="AccessDenied"):
            stubbed.quotas.of(TRAINING)


def test_some_hosts_of_many_jobs_are_a_shortage_that_is_not_final(stubbed) -> None:
    hosts = Hosts(usage="training job", instance_type="ml.g5.xlarge", of_one=2, jobs=3)
    listed(stubbed, [quota(BY_TYPE, 2)])
    over_all(stubbed)
    shortage = stubbed.quotas.shortage(hosts)
    assert not shortage.is_final
    assert shortage.what == f"The quota {BY_TYPE!r} is 2: one training job needs 2, 3 at once need 6."
    assert "--desired-value 6" in shortage.remedy
