"""Grants that are written out, since CDK's own allow more: exactly these actions, and a reason for every wildcard."""

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
# Whoever writes gets a fresh data key, and reads it again: S3 of the parts of an upload, SQS of its cached keys.
WRITE = ("kms:Decrypt", "kms:GenerateDataKey")
# A table's keys, and the disks and outputs of jobs, are also encrypted directly. AWS's guide names all of these for a
# table with a key of one's own; which of them DynamoDB really asks for, only AWS can show.
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
    """Allow ``actions`` on these ARNs. ``because``: why an ARN must be a pattern, one sentence for those that are."""
    patterns = [arn for arn in on if arn.endswith("*")]
    if bool(patterns) != bool(because):
        raise ValueError(f"A reason is expected for patterns, and for nothing else: {patterns or on}, {because!r}")
    iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=list(on), conditions=when)
    # What has the statement in the template: a function's role, or a managed policy itself.
    scope = grantee if isinstance(grantee, iam.ManagedPolicy) else cast("iam.Role", grantee.grant_principal)
    for arn in patterns:
        acknowledge_wildcard(scope, arn, because=because)


def allow_key(grantee: iam.IGrantable, key: kms.IKey, actions: tuple[str, ...]) -> None:
    """Allow the use of an encryption key: READ, WRITE or KEEP."""
    allow(grantee, *actions, on=[key.key_arn])


def allow_volumes(grantee: iam.IGrantable, key: kms.IKey) -> None:
    """Allow SageMaker's hosts disks that are encrypted with a key: EC2 uses it by a grant that the job's role makes."""
    allow(grantee, "kms:CreateGrant", on=[key.key_arn], when={"Bool": {"kms:GrantIsForAWSResource": "true"}})


def volume_key(key: kms.IKey, instance_type: str) -> str:
    """The ARN of the key for the disks of a type of host; "" when they are its own and encrypt themselves."""
    return "" if family(instance_type) in LOCAL_DISK_FAMILIES else key.key_arn


def arn_of(scope: Construct, service: str, resource: str, name: str) -> str:
    """The ARN, or the pattern of ARNs, of something in this account and region."""
    return Stack.of(scope).format_arn(service=service, resource=resource, resource_name=name)


def acknowledge_inline_policy(role: iam.Role) -> None:
    """A role's permissions are a policy of its own, in all of this service."""
    acknowledge(
        role,
        "HIPAA.Security-IAMNoInlinePolicy",
        because="The policy is this one role's: it comes and goes with it, and nobody can attach it to another.",
    )
