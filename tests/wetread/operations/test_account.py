"""What an account grants a stage: each check finds its fault, and says what to do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from tests.wetread.account import UUID
from wetread.operations import account
from wetread.operations.check import CheckResult

OCI = "application/vnd.oci.image.manifest.v1+json"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def results(connection: Any) -> dict[str, CheckResult]:
    return {one.name: one for check in account.checks(connection) for one in check.results()}


def deployed(connection: Any, **changes: Any) -> None:
    connection.deployment = dataclasses.replace(connection.deployment, **changes)


def test_an_account_that_allows_all_of_it_is_well(connection) -> None:
    assert not [one for one in results(connection).values() if one.remedy]


@pytest.mark.parametrize(
    "manifest",
    [
        OCI,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ],
)
def test_an_image_of_which_sagemaker_makes_no_model_is_a_fault(connection, manifest) -> None:
    connection.account.manifest = manifest
    found = results(connection)["Image"]
    assert not found.well
    assert manifest in found.found
    assert "oci-mediatypes=false" in found.remedy


@pytest.mark.parametrize("uri", [f"{ECR}/team/wetread@sha256:{'a' * 64}", f"{ECR}/team/wetread:1@sha256:{'a' * 64}"])
def test_an_image_by_its_digest_is_asked_for_by_its_digest(connection, uri) -> None:
    asked = []
    describe = connection.account.describe_images
    connection.account.describe_images = lambda **request: asked.append(request) or describe(**request)
    deployed(connection, image_uri=uri)
    assert not results(connection)["Image"].remedy
    (request,) = asked
    assert request["imageIds"] == [{"imageDigest": f"sha256:{'a' * 64}"}]
    assert (request["registryId"], request["repositoryName"]) == ("123456789012", "team/wetread")


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_an_image_that_is_gone_is_a_fault(connection, code) -> None:
    connection.account.image_error = code
    assert code in results(connection)["Image"].found
    assert not results(connection)["Image"].well


def test_an_image_of_another_account_that_may_not_be_asked_is_unknown(connection) -> None:
    connection.account.image_error = "AccessDeniedException"
    deployed(connection, image_uri="999999999999.dkr.ecr.eu-west-1.amazonaws.com/wetread:1")
    found = results(connection)["Image"]
    assert not found.is_known
    assert "account 999999999999" in found.remedy


def test_an_image_of_another_region_is_a_fault(connection) -> None:
    deployed(connection, image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/wetread:1")
    found = results(connection)["Image"]
    assert not found.well
    assert "is in us-east-1" in found.found


@pytest.mark.parametrize("uri", ["local/wetread:latest", "public.ecr.aws/team/wetread:1", ""])
def test_an_image_outside_ecr_cannot_be_asked(connection, uri) -> None:
    deployed(connection, image_uri=uri)
    assert not results(connection)["Image"].is_known


def test_an_image_whose_manifest_ecr_does_not_name_is_unknown(connection) -> None:
    connection.account.manifest = None
    assert not results(connection)["Image"].is_known


def test_a_quota_of_0_names_quota_value_need_and_command(connection) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    found = results(connection)["Quota of transform jobs"]
    assert found.found == (
        "The quota 'ml.m5.xlarge for transform job usage' is 0: one transform job needs 1, 2 at once need 2. "
        "No job can start."
    )
    assert "--quota-code L-7939E4EC --desired-value 2 --region eu-west-1`" in found.remedy


def test_a_quota_for_some_of_the_slots_says_how_many_fit(connection) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 1
    found = results(connection)["Quota of transform jobs"]
    assert not found.well
    assert found.found.endswith("1 fit.")
    assert "`slots` set to 1" in found.remedy


def test_a_type_without_any_quota_is_not_offered_there(connection) -> None:
    del connection.account.quotas["ml.m5.2xlarge for training job usage"]
    found = results(connection)["Quota of training jobs"]
    assert "SageMaker has no quota 'ml.m5.2xlarge for training job usage'" in found.found
    assert not found.well


def test_the_host_of_an_endpoint_counts_while_it_is_up(connection) -> None:
    assert "Quota of the endpoint" not in results(connection)
    connection.hosting.exists(instance_type="ml.g5.xlarge")
    connection.account.quotas["ml.g5.xlarge for endpoint usage"] = 1
    assert results(connection)["Quota of the endpoint"].well
    connection.account.quotas["ml.g5.xlarge for endpoint usage"] = 0
    assert not results(connection)["Quota of the endpoint"].well


def test_a_stack_that_does_not_say_its_hosts_is_to_be_deployed_again(connection) -> None:
    deployed(connection, job_hosts=())
    assert not results(connection)["Quotas"].is_known


def test_a_network_without_a_way_to_service_quotas_is_asked_once(connection) -> None:
    calls = []

    def silent(**_: Any) -> Any:
        calls.append(1)
        raise ConnectTimeoutError(endpoint_url="https://servicequotas.eu-west-1.amazonaws.com")

    connection.account.get_service_quota = connection.account.list_service_quotas = silent
    found = results(connection)
    assert [found[f"Quota of {one}s"].is_known for one in ("transform job", "training job", "processing job")] == [
        False,
        False,
        False,
    ]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("concurrency", "unreserved", "well"), [(10, 10, True), (10, 9, False), (1000, 1000, True), (1000, 5, False)]
)
def test_a_burst_must_leave_concurrency_for_what_starts_jobs(connection, concurrency, unreserved, well) -> None:
    connection.account.concurrency, connection.account.unreserved = concurrency, unreserved
    found = results(connection)["Lambda concurrency"]
    assert found.well is well
    assert (
        f"{unreserved} of the account's {concurrency} are unreserved; a burst takes up to 8: 8 by queues" in found.found
    )


@pytest.mark.parametrize(("unreserved", "well"), [(17, True), (16, False)])
def test_what_closes_studies_and_the_express_lane_count_in_a_burst(connection, unreserved, well) -> None:
    connection.account.concurrency, connection.account.unreserved = 1000, unreserved
    deployed(connection, closers=4, express_concurrency=4)
    found = results(connection)["Lambda concurrency"]
    assert found.well is well
    assert "takes up to 15: 8 by queues, 3 by closers, 4 by express_concurrency" in found.found
    assert ("lower closers or express_concurrency, or ask" in found.remedy) is not well


def test_what_is_asked_for_is_more_than_the_account_has(connection) -> None:
    connection.account.concurrency, connection.account.unreserved = 1000, 5
    assert "--desired-value 1005" in results(connection)["Lambda concurrency"].remedy


def test_a_reservation_below_what_the_queues_start_is_a_fault(connection) -> None:
    connection.account.reserved["Ingest"] = 2
    assert "dead letters" in results(connection)["Lambda concurrency"].found
    connection.account.reserved["Ingest"] = 8
    assert results(connection)["Lambda concurrency"].well


def test_a_function_that_is_switched_off_is_a_fault(connection) -> None:
    connection.account.reserved["Dispatch"] = 0
    found = results(connection)["Functions"]
    assert "Dispatch" in found.found
    assert "aws lambda delete-function-concurrency --function-name Dispatch" in found.remedy


def test_a_mapping_that_is_switched_off_is_a_fault(connection) -> None:
    connection.account.mappings[f"{UUID}2"] = ("Ingest", "Disabled", 4)
    assert f"--uuid {UUID}2 --enabled" in results(connection)["Functions"].remedy


@pytest.mark.parametrize("arn", ["PendingConfirmation", "Deleted"])
def test_a_mail_subscription_that_is_not_confirmed_is_a_fault(connection, arn) -> None:
    connection.account.subscriptions.append(arn)
    for name in ("Alarm mail", "Key mail"):
        found = results(connection)[name]
        assert not found.well
        assert found.found.startswith("1 of 2 subscriptions not confirmed")


def test_a_subscription_that_aws_removed_unconfirmed_is_a_fault(connection) -> None:
    connection.account.subscriptions = []
    assert results(connection)["Alarm mail"].well  # none was deployed
    connection.account.template["Resources"]["Mail"] = {"Type": "AWS::SNS::Subscription", "Properties": {}}
    assert not results(connection)["Alarm mail"].well


def test_the_functions_boto3_is_their_layer_s_or_not_known(connection) -> None:
    assert results(connection)["boto3 of the functions"].found == "1.43.106, in their layer"
    deployed(connection, function_packages="")
    assert not results(connection)["boto3 of the functions"].is_known


@pytest.mark.parametrize(("version", "well"), [("6", True), ("21", True), ("5", False), (None, False), ("x", False)])
def test_the_bootstrap_stack_is_as_new_as_the_template_demands(connection, version, well) -> None:
    connection.account.bootstrap = version
    found = results(connection)["CDK bootstrap"]
    assert found.well is well
    assert "6 is needed" in found.found


def test_a_template_without_bootstrap_needs_none(connection) -> None:
    del connection.account.template["Parameters"]
    assert results(connection)["CDK bootstrap"].well


def test_a_region_without_a_service_is_named(connection) -> None:
    connection.session.lacks = ("sagemaker", "stepfunctions")
    assert "eu-west-1 lacks sagemaker, stepfunctions" in results(connection)["Region"].found
    connection.session.lacks, connection.session.partition = (), "aws-cn"
    assert "model registry" in results(connection)["Region"].found


@pytest.mark.parametrize("status", [None, "Deleting"])
def test_a_model_registry_without_its_group_is_a_fault(connection, status) -> None:
    connection.hosting.group = status
    assert not results(connection)["Model registry"].well
