"""The checks of the uploads bucket, the stack's or a given one: without them uploads are accepted and never read.

Each remedy is a command: CloudFormation does not notice that a bucket was changed, and changes no given one.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.operations.check import CheckResult

NAME = "Uploads bucket"
PERMISSIONS = "s3:GetBucketNotification and GetBucketVersioning on the uploads bucket"
PLACE = "Place of the bucket"
PLACE_PERMISSION = "s3:GetBucketLocation on the uploads bucket"
ENCRYPTION = "Key of the bucket"
ENCRYPTION_PERMISSION = "s3:GetEncryptionConfiguration on the uploads bucket"
EVENTS = "EventBridgeConfiguration"
FIRST_REGION, OLD_NAMES = "us-east-1", {"EU": "eu-west-1"}
"""The region that S3 says as nothing, and the one that it may say otherwise."""


def check(connection: Connection) -> CheckResult:
    """Check the bucket's events and versions."""
    bucket = connection.deployment.uploads_bucket_name
    notifications: dict[str, Any] = dict(connection.s3.get_bucket_notification_configuration(Bucket=bucket))
    versioning = connection.s3.get_bucket_versioning(Bucket=bucket)
    lacks, commands = [], []
    if EVENTS not in notifications:
        lacks.append("sends no events")
        # The command replaces the whole configuration, so it repeats what the bucket has.
        kept = {name: one for name, one in notifications.items() if name.endswith("Configurations")} | {EVENTS: {}}
        commands.append(
            f"aws s3api put-bucket-notification-configuration --bucket {bucket} "
            f"--notification-configuration '{json.dumps(kept)}'"
        )
    if versioning.get("Status") != "Enabled":
        lacks.append("keeps no versions")
        commands.append(f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled")
    if lacks:
        remedy = " and ".join(f"`{one}`" for one in commands)
        return CheckResult(NAME, f"{bucket} {' and '.join(lacks)}", f"{remedy}, then `wetread doctor --reconcile`.")
    return CheckResult(NAME, f"{bucket} sends events and keeps versions")


def place(connection: Connection) -> CheckResult:
    """Check that the bucket is in the stack's region: S3 sends events to EventBridge in the same region alone."""
    bucket, here = connection.deployment.uploads_bucket_name, connection.session.region_name
    stated = connection.s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or FIRST_REGION
    region = OLD_NAMES.get(stated, stated)
    if region != here:
        return CheckResult(
            PLACE,
            f"{bucket} is in {region}, the stack in {here}: its events do not arrive",
            f"Deploy the stage to {region}, or with a bucket in {here} as `uploads_bucket`.",
        )
    return CheckResult(PLACE, f"{bucket} is in {region}")


def encryption(connection: Connection) -> CheckResult:
    """Check that ingest may use the key by which the bucket encrypts."""
    bucket = connection.deployment.uploads_bucket_name
    key = _default_key(connection, bucket)
    if not key:
        return CheckResult(ENCRYPTION, f"{bucket} encrypts by a key of AWS")
    usable = [arn for arn in (connection.deployment.data_key_arn, connection.deployment.uploads_key_arn) if arn]
    if any(key == arn or key == arn.rpartition("/")[2] for arn in usable):
        return CheckResult(ENCRYPTION, f"{bucket} encrypts by {key}, which the service may use")
    if "alias/" in key:
        return CheckResult(
            ENCRYPTION,
            f"{bucket} encrypts by the alias {key}, and IAM knows no aliases",
            f"See which key it is with `aws kms describe-key --key-id {key}`; the service may use {', '.join(usable)}.",
            is_known=False,
        )
    return CheckResult(
        ENCRYPTION,
        f"{bucket} encrypts by {key}, which the service may not use: each upload is refused",
        f"Deploy with {key} as `uploads_key_arn`.",
    )


def _default_key(connection: Connection, bucket: str) -> str:
    """Return the key of the bucket's default encryption, "" for one that belongs to AWS."""
    try:
        answer = connection.s3.get_bucket_encryption(Bucket=bucket)
    except ClientError as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return ""
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    defaults = [one.get("ApplyServerSideEncryptionByDefault", {}) for one in rules]
    return next((one.get("KMSMasterKeyID", "") for one in defaults if "KMSMasterKeyID" in one), "")
