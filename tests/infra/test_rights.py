"""The policy of who deploys, and that of an existing data key."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import botocore.session
import pytest

from infra import rights
from infra.config import StageConfig
from tests.infra.conftest import Assembly

ACCOUNT, REGION = "111122223333", "eu-west-1"
MODELS = {"states": "stepfunctions"}
# Permissions that are no operation's name.
OTHER_NAMES = {
    *("s3:GetBucket*", "s3:PutBucket*", "s3:*LifecycleConfiguration", "s3:*EncryptionConfiguration"),
    *("logs:*LogDelivery*", "ecr:GetRepositoryPolicy"),
}


def deployer(assembly: Assembly, config: StageConfig | None = None) -> list[dict[str, Any]]:
    return list(rights.deployer(assembly.template, config or StageConfig(), ACCOUNT, REGION)["Statement"])


def test_every_type_of_the_stack_has_its_rights(default: Assembly) -> None:
    services = {action.partition(":")[0] for one in deployer(default) for action in one["Action"]}
    for resource in default.template["Resources"].values():
        if resource["Type"] != "AWS::CDK::Metadata":
            assert rights.TYPES[resource["Type"]][0] in services


def test_every_right_names_an_operation(default: Assembly) -> None:
    session = botocore.session.get_session()
    every = {f"{service}:{action}" for service, actions, _ in rights.TYPES.values() for action in actions}
    every |= {action for one in deployer(default) for action in one["Action"]} - {"iam:PassRole"}
    for action in every - OTHER_NAMES:
        service, _, name = action.partition(":")
        operations = session.get_service_model(MODELS.get(service, service)).operation_names
        assert fnmatch.filter(operations, name), action


def test_who_deploys_reads_no_data_and_runs_nothing(default: Assembly) -> None:
    forbidden = (
        *("s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"),
        *("sqs:ReceiveMessage", "sqs:PurgeQueue", "lambda:InvokeFunction", "states:StartExecution", "kms:GenerateMac"),
        *("sagemaker:CreateModel", "sagemaker:CreateTransformJob", "iam:CreateUser", "iam:AttachUserPolicy"),
    )
    for statement in deployer(default):
        for action in statement["Action"]:
            assert not [one for one in forbidden if fnmatch.fnmatchcase(one, action)], action


def test_roles_are_passed_only_if_they_are_the_stacks(default: Assembly) -> None:
    passed = [one for one in deployer(default) if fnmatch.filter(one["Action"], "iam:PassRole")]
    assert [one["Resource"] for one in passed] == [[f"arn:aws:iam::{ACCOUNT}:role/Wetread-*"]]


def test_with_a_boundary_no_role_is_made_without_it(default: Assembly) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/hospital"
    denied = [one for one in deployer(default, StageConfig(permissions_boundary="hospital")) if one["Effect"] == "Deny"]
    assert denied[0]["Condition"] == {"StringNotEquals": {"iam:PermissionsBoundary": arn}}
    assert "iam:DeleteRolePermissionsBoundary" in denied[1]["Action"]


def test_a_key_of_yours_needs_what_the_stacks_own_has(default: Assembly) -> None:
    document = rights.key(default.template, ACCOUNT, REGION)
    services = json.dumps([one["Principal"] for one in document["Statement"]])
    for service in ("logs.eu-west-1.amazonaws.com", "events.amazonaws.com", "cloudwatch.amazonaws.com"):
        assert service in services
    assert "delivery.logs.amazonaws.com" in services
    assert "Ref" not in json.dumps(document)


def test_an_unknown_stage_ends_in_one_sentence() -> None:
    with pytest.raises(SystemExit, match="'prod' is not among the stages"):
        rights.main(["key", "prod", ACCOUNT, REGION])


def test_in_govcloud_arns_are_of_its_partition(default: Assembly) -> None:
    region, config = "us-gov-west-1", StageConfig(permissions_boundary="hospital")
    deploys = json.dumps(rights.deployer(default.template, config, ACCOUNT, region))
    assert "arn:aws-us-gov:iam::" in deploys
    assert "arn:aws:" not in deploys
    root = json.dumps(rights.key(default.template, ACCOUNT, region))
    assert f"arn:aws-us-gov:iam::{ACCOUNT}:root" in root
    assert "arn:aws:" not in root


@pytest.mark.parametrize(
    "action",
    [
        "sagemaker:GetModelPackageGroupPolicy",
        "lambda:GetFunctionRecursionConfig",
        "dynamodb:DescribeContributorInsights",
        "dynamodb:DescribeKinesisStreamingDestination",
        "dynamodb:GetResourcePolicy",
        "logs:GetDataProtectionPolicy",
        "logs:DescribeIndexPolicies",
        "sns:GetDataProtectionPolicy",
    ],
)
def test_who_deploys_may_read_what_cloudformation_reads_after_it_made_a_resource(
    default: Assembly, action: str
) -> None:
    assert [one for one in deployer(default) if action in one["Action"]]


@pytest.mark.parametrize(
    ("account", "region", "problem"),
    [
        (ACCOUNT, REGION, ""),
        (ACCOUNT, "us-gov-west-1", "data_key_arn is "),
        ("999988887777", REGION, "data_key_arn is "),
        (REGION, ACCOUNT, f"ACCOUNT is '{REGION}'"),
        (ACCOUNT, "eu-west", "REGION is 'eu-west'"),
    ],
)
def test_a_policy_is_printed_only_for_the_account_and_region_of_the_stages_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], account: str, region: str, problem: str
) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    monkeypatch.setattr(rights, "load_stage", lambda *_: StageConfig(data_key_arn=key))
    if not problem:
        rights.main(["key", "any", account, region])
        assert f"arn:aws:iam::{ACCOUNT}:root" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as caught:
        rights.main(["key", "any", account, region])
    assert str(caught.value.code).startswith(problem)
