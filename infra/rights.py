"""Print a policy document for one stage: `python -m infra.rights deployer|key STAGE ACCOUNT REGION`.

``deployer`` is what CloudFormation's execution role needs to make, change and delete the stage's resources, by the
types in its template; ``key`` is what the policy of an existing data key must have.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk.region_info import RegionInfo

from infra.app import ROOT, synthesise_config
from infra.config import ConfigError, StageConfig, load_stage

TAGS = ("ListTagsForResource", "TagResource", "UntagResource")
# Type -> service, the actions that make, read, change, tag and delete it, and the last part of its ARN. {stack} is in
# every generated name, in lower case in names of buckets. CloudFormation reads a resource after it has made it, with
# policies and features that the stack does not use, as the permissions in the schema of its type say.
TYPES: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "AWS::CloudTrail::Trail": (
        "cloudtrail",
        ("*Trail", "*TrailStatus", "*Logging", "*EventSelectors", "GetInsightSelectors", "*Tags"),
        "trail/{service}-audit",
    ),
    "AWS::CloudWatch::Alarm": ("cloudwatch", ("*Alarms", "PutMetricAlarm", *TAGS), "alarm:{stack}-*"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", ("*Dashboard", "*Dashboards"), "dashboard/*"),
    "AWS::DynamoDB::Table": (
        "dynamodb",
        (
            *("*Table", "*ContinuousBackups", "*TimeToLive", "ListTagsOfResource", "TagResource", "UntagResource"),
            *("DescribeContributorInsights", "DescribeKinesisStreamingDestination", "GetResourcePolicy"),
        ),
        "table/{stack}-*",
    ),
    "AWS::Events::ApiDestination": ("events", ("*ApiDestination",), "api-destination/{stack}*"),
    "AWS::Events::Connection": ("events", ("*Connection",), "connection/{stack}*"),
    "AWS::Events::Rule": ("events", ("*Rule", "*Targets", "ListTargetsByRule", *TAGS), "rule/{stack}-*"),
    "AWS::IAM::ManagedPolicy": (
        "iam",
        (
            *("CreatePolicy", "DeletePolicy", "GetPolicy", "*PolicyVersion", "ListPolicyVersions"),
            *("ListEntitiesForPolicy", "TagPolicy", "UntagPolicy"),
        ),
        "policy/{stack}-*",
    ),
    "AWS::IAM::Policy": ("iam", ("PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy"), "role/{stack}-*"),
    "AWS::IAM::Role": (
        "iam",
        (
            *("CreateRole", "DeleteRole", "GetRole", "UpdateRole", "UpdateRoleDescription", "UpdateAssumeRolePolicy"),
            *("*RolePermissionsBoundary", "*RolePolicies", "ListAttachedRolePolicies", "TagRole", "UntagRole"),
        ),
        "role/{stack}-*",
    ),
    "AWS::KMS::Key": (
        "kms",
        (
            *("DescribeKey", "*KeyPolicy", "*KeyRotation", "GetKeyRotationStatus", "EnableKey", "DisableKey"),
            *("ScheduleKeyDeletion", "UpdateKeyDescription", "ListResourceTags", "TagResource", "UntagResource"),
            # Tables, logs and the state machine get their key with these rights of their creator.
            *("CreateGrant", "Decrypt", "GenerateDataKey"),
        ),
        "key/*",
    ),
    "AWS::Lambda::EventInvokeConfig": ("lambda", ("*EventInvokeConfig",), "function:{stack}-*"),
    "AWS::Lambda::EventSourceMapping": ("lambda", ("*EventSourceMapping", "TagResource", "UntagResource"), "*"),
    "AWS::Lambda::Function": (
        "lambda",
        (
            *("CreateFunction", "DeleteFunction", "GetFunction", "GetFunctionConfiguration", "UpdateFunction*"),
            *("GetFunctionCodeSigningConfig", "GetRuntimeManagementConfig", "ListTags", "TagResource", "UntagResource"),
            "GetFunctionRecursionConfig",
        ),
        "function:{stack}-*",
    ),
    "AWS::Lambda::LayerVersion": ("lambda", ("*LayerVersion",), "layer:*"),
    "AWS::Lambda::Permission": ("lambda", ("AddPermission", "RemovePermission", "GetPolicy"), "function:{stack}-*"),
    "AWS::Logs::LogGroup": (
        "logs",
        (
            *("CreateLogGroup", "DeleteLogGroup", "*RetentionPolicy", "*KmsKey", *TAGS),
            *("GetDataProtectionPolicy", "DescribeIndexPolicies"),
        ),
        "log-group:{stack}-*",
    ),
    "AWS::S3::Bucket": (
        "s3",
        (
            "CreateBucket",
            "DeleteBucket",
            "GetBucket*",
            "PutBucket*",
            "*LifecycleConfiguration",
            "*EncryptionConfiguration",
        ),
        "{lower}-*",
    ),
    "AWS::S3::BucketPolicy": ("s3", ("*BucketPolicy",), "{lower}-*"),
    "AWS::SNS::Subscription": ("sns", ("Subscribe", "Unsubscribe", "*SubscriptionAttributes"), "{stack}-*"),
    "AWS::SNS::Topic": (
        "sns",
        (
            *("CreateTopic", "DeleteTopic", "*TopicAttributes", "ListSubscriptionsByTopic", *TAGS),
            "GetDataProtectionPolicy",
        ),
        "{stack}-*",
    ),
    "AWS::SNS::TopicPolicy": ("sns", ("*TopicAttributes",), "{stack}-*"),
    "AWS::SQS::Queue": (
        "sqs",
        ("CreateQueue", "DeleteQueue", "GetQueueUrl", "*QueueAttributes", "ListQueueTags", "TagQueue", "UntagQueue"),
        "{stack}-*",
    ),
    "AWS::SQS::QueuePolicy": ("sqs", ("*QueueAttributes",), "{stack}-*"),
    "AWS::SageMaker::ModelPackageGroup": (
        "sagemaker",
        ("*ModelPackageGroup", "GetModelPackageGroupPolicy", "AddTags", "DeleteTags", "ListTags"),
        "model-package-group/{service}",
    ),
    "AWS::StepFunctions::StateMachine": ("states", ("*StateMachine", *TAGS), "stateMachine:{service}-training"),
}
# What CloudFormation asks for on the way, on no one resource: images, networks, log deliveries.
ON_THE_WAY = (
    *("ssm:GetParameters", "kms:CreateKey", "kms:ListAliases", "sts:GetCallerIdentity"),
    *("logs:DescribeLogGroups", "logs:*LogDelivery*", "logs:*ResourcePolic*", "ecr:GetRepositoryPolicy"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
)
GLOBAL = {"iam": ("", "{account}"), "s3": ("", ""), "cloudwatch:dashboard": ("", "{account}")}


def deployer(template: Mapping[str, Any], config: StageConfig, account: str, region: str) -> dict[str, Any]:
    """Return the policy; raise KeyError for a type of resource that has no row in TYPES."""
    partition = _partition(region)
    statements: dict[tuple[str, ...], set[str]] = {}
    names = {"stack": config.stack_name, "lower": config.stack_name.lower(), "service": config.service_name}
    for kind in sorted({one["Type"] for one in template["Resources"].values()} - {"AWS::CDK::Metadata"}):
        service, actions, last = TYPES[kind]
        place = GLOBAL.get(f"{service}:{last.partition('/')[0]}") or GLOBAL.get(service) or ("{region}", "{account}")
        where = ":".join(one.format(region=region, account=account) for one in place)
        arn = f"arn:{partition}:{service}:{where}:{last.format(**names)}"
        statements.setdefault((arn,), set()).update(f"{service}:{action}" for action in actions)
    document = [_allow(sorted(actions), *arns) for arns, actions in sorted(statements.items())]
    document.append(_allow(list(ON_THE_WAY), "*"))
    document.append(_allow(["s3:GetObject"], f"arn:{partition}:s3:::cdk-*-assets-{account}-{region}/*"))
    roles = f"arn:{partition}:iam::{account}:role/{config.stack_name}-*"
    document.append(
        _allow(["iam:PassRole"], roles)
        | {"Condition": {"StringLike": {"iam:PassedToService": ["lambda.*", "states.*", "sagemaker.*"]}}}
    )
    if config.webhook_url:
        document += _webhook(config, partition, region, account)
    if config.permissions_boundary:
        boundary = config.permissions_boundary
        arn = boundary if boundary.startswith("arn:") else f"arn:{partition}:iam::{account}:policy/{boundary}"
        document.append(
            {
                "Effect": "Deny",
                "Action": ["iam:CreateRole", "iam:PutRolePermissionsBoundary"],
                "Resource": "*",
                "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": arn}},
            }
        )
        document.append({"Effect": "Deny", "Action": "iam:DeleteRolePermissionsBoundary", "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": document}


def _webhook(config: StageConfig, partition: str, region: str, account: str) -> list[dict[str, Any]]:
    """Return what a webhook needs beside its types: the stage's secret, and the copy that EventBridge makes of it."""
    secrets = ("CreateSecret", "DeleteSecret", "DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecret")
    copy = f"arn:{partition}:secretsmanager:{region}:{account}:secret:events!connection/*"
    linked = f"arn:{partition}:iam::{account}:role/aws-service-role/apidestinations.events.amazonaws.com/*"
    return [
        _allow(["secretsmanager:GetSecretValue"], config.webhook_secret_arn),
        _allow([f"secretsmanager:{one}" for one in secrets], copy),
        _allow(["iam:CreateServiceLinkedRole"], linked),
        _allow(["iam:PassRole"], f"arn:{partition}:iam::{account}:role/{config.stack_name}-*")
        | {"Condition": {"StringLike": {"iam:PassedToService": "events.*"}}},
    ]


def key(template: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
    """Return the policy that the stack gives to a data key that it makes."""
    (policy,) = (
        one["Properties"]["KeyPolicy"]
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::KMS::Key" and name.startswith("StorageKey")
    )
    known = {
        "AWS::Partition": _partition(region),
        "AWS::AccountId": account,
        "AWS::Region": region,
        "AWS::URLSuffix": "amazonaws.com",
    }
    return dict(_resolved(policy, known))


def _partition(region: str) -> str:
    """Return the first part of ARNs after "arn" in a region: "aws-us-gov" in GovCloud."""
    return RegionInfo.get(region).partition or "aws"


def _allow(actions: list[str], *resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def _resolved(value: Any, known: Mapping[str, str]) -> Any:
    """Return a template's value with its references to the account replaced."""
    if isinstance(value, list):
        return [_resolved(one, known) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return known[value["Ref"]]
    if set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_resolved(parts, known))
    return {name: _resolved(one, known) for name, one in value.items()}


def _misplaced(config: StageConfig, account: str, region: str) -> str:
    """Return what is wrong with an account and a region, or ''; a stage with a key lies where its key lies."""
    if not re.fullmatch(r"\d{12}", account):
        return f"ACCOUNT is {account!r}: 12 digits are expected."
    if not re.fullmatch(r"[a-z]+(-[a-z]+)+-\d", region):
        return f"REGION is {region!r}: the name of a region is expected, 'eu-west-1' for example."
    place = config.data_key_arn.split(":")[3:5]
    if place and place != [region, account]:
        return f"data_key_arn is {config.data_key_arn!r}: a key in {region} and the account {account} is expected."
    return ""


def main(arguments: list[str]) -> None:
    """Print the policy that the arguments name."""
    if len(arguments) != 4 or arguments[0] not in {"deployer", "key"}:
        sys.exit("Usage: python -m infra.rights deployer|key STAGE ACCOUNT REGION")
    what, stage, account, region = arguments
    stages = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]
    try:
        config = load_stage(stages, stage)
    except ConfigError as error:
        sys.exit(str(error))
    if problem := _misplaced(config, account, region):
        sys.exit(problem)
    if what == "key":
        config = replace(config, data_key_arn="")
    with tempfile.TemporaryDirectory() as folder:
        directory = synthesise_config(Path(folder), config)
        template = json.loads((directory / f"{config.stack_name}.template.json").read_text())
    document = key(template, account, region) if what == "key" else deployer(template, config, account, region)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
