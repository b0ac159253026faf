"""The checks of the stage's KMS keys, its own or given ones: their state, and who their policies let use them."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.operations.check import Check, CheckResult

PERMISSIONS = "kms:DescribeKey and kms:GetKeyPolicy on the key"
USES = ("kms:Decrypt", "kms:GenerateDataKey")
PARTITION, REGION, ACCOUNT = 1, 3, 4
"""Fields of an ARN."""
REMEDIES = {
    "Disabled": "`aws kms enable-key --key-id {arn}`.",
    "PendingDeletion": "`aws kms cancel-key-deletion --key-id {arn}`, then `aws kms enable-key --key-id {arn}`.",
    "PendingReplicaDeletion": "Cancel the deletion of its replicas, then of the key.",
    "PendingImport": "Import its key material.",
    "Unavailable": "Connect its custom key store.",
}
Statement = Mapping[str, Any]


def checks(connection: Connection) -> Iterator[Check]:
    """Return the checks of the data key and, where a stage has one, of the given uploads bucket's key."""
    deployment = connection.deployment
    keys = {"Data key": (deployment.data_key_arn, _services(deployment.data_key_arn))}
    if deployment.uploads_key_arn:
        keys["Uploads key"] = (deployment.uploads_key_arn, {})
    for name, (arn, services) in keys.items():
        yield Check(name, PERMISSIONS, lambda one=(name, arn, services): key(connection, *one))  # type: ignore[misc]


def _services(arn: str) -> dict[str, Sequence[str]]:
    """Return the services that use the data key without a role of the stage, and the actions that they need."""
    fields = arn.split(":")
    suffix = "amazonaws.com.cn" if fields[PARTITION] == "aws-cn" else "amazonaws.com"
    return {
        f"logs.{fields[REGION]}.{suffix}": USES,
        "cloudwatch.amazonaws.com": USES,
        "events.amazonaws.com": USES,
        "delivery.logs.amazonaws.com": USES[:1],
    }


def key(connection: Connection, name: str, arn: str, services: Mapping[str, Sequence[str]]) -> Iterator[CheckResult]:
    """Check a key's state and its policy. Conditions of the policy are not judged."""
    kms = connection.client("kms")
    try:
        metadata = kms.describe_key(KeyId=arn)["KeyMetadata"]
    except ClientError as error:
        if error_code(error) != "NotFoundException":
            raise
        yield CheckResult(name, f"{arn} does not exist: nothing of the stage can be read", "Deploy with another key.")
        return
    state = metadata["KeyState"]
    if state != "Enabled":
        remedy = REMEDIES.get(state, "Wait; if it stays, look at it in the console of KMS.").format(arn=arn)
        yield CheckResult(name, f"{arn} is {state}: nothing can be read or written", remedy)
        return
    kind = metadata.get("KeyUsage"), metadata.get("KeySpec")
    if kind != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        yield CheckResult(
            name, f"{arn} is a key for {kind[0]} ({kind[1]})", "Deploy with a symmetric key for encryption."
        )
        return
    policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    lacking = list(lacks(policy, arn, services))
    if lacking:
        yield CheckResult(name, f"the policy of {arn} lacks {', '.join(lacking)}", _remedy(arn))
    else:
        yield CheckResult(name, f"{arn} is enabled, and its policy allows what the stage needs")


def _remedy(arn: str) -> str:
    fields = arn.split(":")
    return (
        f"Add what is missing, with `aws kms put-key-policy`, from the statements that "
        f"`python -m infra.rights key STAGE {fields[ACCOUNT]} {fields[REGION]}` prints."
    )


def lacks(policy: Mapping[str, Any], arn: str, services: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what a key's policy does not allow: IAM's policies to decide, and each service its actions."""
    found = policy["Statement"]
    statements = [one for one in _list(found) if one["Effect"] == "Allow"]
    fields = arn.split(":")
    account = fields[ACCOUNT]
    roots = {account, f"arn:{fields[PARTITION]}:iam::{account}:root", "*"}
    iam = [one for one in statements if roots & _principals(one, "AWS")]
    if not all(_allows(iam, action) for action in (*USES, "kms:DescribeKey", "kms:CreateGrant")):
        yield "a statement that lets IAM's policies decide (the account's root)"
    for service, actions in services.items():
        of_service = [one for one in statements if {service, "*"} & _principals(one, "Service")]
        missing = [action for action in actions if not _allows(of_service, action)]
        if missing:
            yield f"{', '.join(missing)} for {service}"


def _principals(statement: Statement, kind: str) -> set[str]:
    principal = statement.get("Principal", {})
    return set(_list(principal)) if isinstance(principal, str) else set(_list(principal.get(kind, ())))


def _allows(statements: Sequence[Statement], action: str) -> bool:
    return any(
        _matches(action, one["Action"]) if "Action" in one else not _matches(action, one.get("NotAction", "*"))
        for one in statements
    )


def _matches(action: str, patterns: Any) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in _list(patterns))


def _list(value: Any) -> list[Any]:
    """Return the members of a value that a policy may write as one or as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
