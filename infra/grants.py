"""Grants with exactly these actions, and a reason for every wildcard; CDK's own grants allow more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.compliance import acknowledge, acknowledge_wildcard
from infra.validation import LOCAL_DISK_FAMILIES, family

READ = ("kms:Decrypt",)
# DynamoDB describes a table's key before it decrypts with it.
READ_TABLE = ("kms:Decrypt", "kms:DescribeKey")
# A writer gets a new data key, and must also decrypt it: S3 for the parts of an upload, SQS for its cached keys.
WRITE = ("kms:Decrypt", "kms:GenerateDataKey")
# The keys of tables and the disks and outputs of jobs are also encrypted directly. AWS's guide lists all of these for
# a table with a customer managed key; which of them DynamoDB needs can be seen on AWS only.
KEEP = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


def allow(
    grantee: iam.IGrantable,
    *actions: str,
    on: Sequence[str],
    when: Mapping[str, Mapping[str, Any]] | None = None,
    because: str = "",
) -> None:
    """Allow ``actions`` on these ARNs.

    ``because`` is one sentence that says why an ARN must be a pattern. Raise ValueError for a pattern without it, and
    for a reason without a pattern.
    """
    patterns = [arn for arn in on if arn.endswith("*")]
    if bool(patterns) != bool(because):
        raise ValueError(f"A reason is expected for patterns, and for nothing else: {patterns or on}, {because!r}")
    iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=list(on), conditions=when)
    # The construct that has the statement in the template: a function's role, or a managed policy.
    scope = grantee if isinstance(grantee, iam.ManagedPolicy) else cast("iam.Role", grantee.grant_principal)
    for arn in patterns:
        acknowledge_wildcard(scope, arn, because=because)


def allow_key(grantee: iam.IGrantable, key: kms.IKey, actions: tuple[str, ...]) -> None:
    """Allow READ, WRITE or KEEP on an encryption key."""
    allow(grantee, *actions, on=[key.key_arn])


def allow_volumes(grantee: iam.IGrantable, key: kms.IKey) -> None:
    """Allow encrypted disks for SageMaker's hosts: EC2 uses the key by a grant that the job's role creates."""
    allow(grantee, "kms:CreateGrant", on=[key.key_arn], when={"Bool": {"kms:GrantIsForAWSResource": "true"}})


def volume_key(key: kms.IKey, instance_type: str) -> str:
    """Return the ARN of the key for the disks of a host; "" for local disks, which encrypt themselves."""
    return "" if family(instance_type) in LOCAL_DISK_FAMILIES else key.key_arn


def arn_of(scope: Construct, service: str, resource: str, name: str) -> str:
    """Return the ARN, or the pattern of ARNs, of a resource in this account and region."""
    return Stack.of(scope).format_arn(service=service, resource=resource, resource_name=name)


def acknowledge_inline_policy(scope: iam.Role | iam.Policy) -> None:
    """Accept that a role's permissions are an inline policy, as everywhere in this service."""
    acknowledge(
        scope,
        "HIPAA.Security-IAMNoInlinePolicy",
        because="The policy belongs to this role: it comes and goes with it, and cannot be attached to another.",
    )
