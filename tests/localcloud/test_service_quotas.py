from __future__ import annotations

import pytest

from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.quotas import Quotas
from localcloud.service_quotas import answered

TRANSFORM = "ml.m5.xlarge for transform job usage"


def _listed(quotas, operation="ListServiceQuotas"):
    request = {"ServiceCode": "sagemaker"}
    found = []
    while True:
        answer = answered(quotas, operation, request)
        assert len(answer["Quotas"]) <= 100
        found += answer["Quotas"]
        if "NextToken" not in answer:
            return {quota["QuotaName"]: quota for quota in found}
        request["NextToken"] = answer["NextToken"]


def test_every_instance_type_and_use_has_a_quota_and_the_set_ones_their_value():
    listed = _listed(Quotas(f"{TRANSFORM}=0", 20))
    assert listed[TRANSFORM]["Value"] == 0.0
    for usage in ("training job", "processing job", "endpoint"):
        assert listed[f"ml.m5.xlarge for {usage} usage"]["Value"] == 20.0
    assert len({quota["QuotaCode"] for quota in listed.values()}) == len(listed)


def test_the_defaults_of_aws_have_the_same_names_and_not_the_values_that_were_set():
    quotas = Quotas(f"{TRANSFORM}=0", 20)
    defaults = _listed(quotas, "ListAWSDefaultServiceQuotas")
    assert set(defaults) == set(_listed(quotas))
    assert defaults[TRANSFORM]["Value"] == 20.0


def test_a_quota_is_found_by_its_code_and_an_unknown_one_is_refused():
    quotas = Quotas("", 20)
    code = _listed(quotas)[TRANSFORM]["QuotaCode"]
    asked = {"ServiceCode": "sagemaker", "QuotaCode": code}
    assert answered(quotas, "GetServiceQuota", asked)["Quota"]["QuotaName"] == TRANSFORM
    for wrong in ({**asked, "QuotaCode": "L-00000000"}, {**asked, "ServiceCode": "nothing"}):
        with pytest.raises(ServiceError) as error:
            answered(quotas, "GetServiceQuota", wrong)
        assert error.value.code == "NoSuchResourceException"


def test_the_calls_of_a_check_before_a_run_are_answered(client):
    pages = client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    assert TRANSFORM in {quota["QuotaName"] for page in pages for quota in page["Quotas"]}
    assert client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000
