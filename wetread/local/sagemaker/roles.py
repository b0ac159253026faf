"""Act with a role: session credentials that the emulator's IAM enforces, so that a job tests its role as well."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from wetread.local.account import ACCOUNT_ID, REGION, in_account
from wetread.local.mends.seam import emulator
from wetread.local.sagemaker.errors import invalid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SERVICE = "sagemaker.amazonaws.com"
_SESSION_SECONDS = 24 * 3600
_CONNECTIONS = 100


@contextlib.contextmanager
def s3_with_role(role_arn: str, session_name: str, endpoint: str) -> Iterator[S3Client]:
    """An S3 client that may do what the role may; raise ServiceError when SageMaker may not assume the role."""
    _check_trust(role_arn)
    sts = emulator("services.sts", "register_session", "_sessions")
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
    role_name = role_arn.rsplit("/", 1)[-1]
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role_name}/{session_name[:64]}",
            "UserId": f"{role_name}:{session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": time.time() + _SESSION_SECONDS,
        },
    )
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(max_pool_connections=_CONNECTIONS, retries={"total_max_attempts": 3}),
    )
    try:
        yield client
    finally:
        client.close()
        sts._sessions.pop(key, None)


def _check_trust(role_arn: str) -> None:
    """Raise ServiceError unless the role exists and its trust policy lets SageMaker of this account assume it."""
    iam = emulator("services.iam", "_roles")
    evaluator = emulator("core.iam_evaluator", "EvalContext", "evaluate_trust_policy")
    with in_account():
        role = iam._roles.get(role_arn.rsplit("/", 1)[-1])
        root = f"arn:aws:iam::{ACCOUNT_ID}:root"
        context = evaluator.EvalContext(
            principal_arn=root,
            principal_type="Service",
            principal_account=ACCOUNT_ID,
            action="sts:AssumeRole",
            resource_arn=role_arn,
            region=REGION,
            service_context={"aws:sourceaccount": ACCOUNT_ID},
        )
        policy = _for_service(role["AssumeRolePolicyDocument"]) if role else None
        if policy is None or not evaluator.evaluate_trust_policy(policy, root, context):
            raise invalid(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{_SERVICE}' to assume the role."
            )


def _for_service(document: str | dict[str, Any]) -> dict[str, Any]:
    """The statements of a trust policy that speak of SageMaker, since the evaluator takes one service for another."""
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return {**policy, "Statement": [part for part in policy["Statement"] if _SERVICE in json.dumps(part["Principal"])]}
