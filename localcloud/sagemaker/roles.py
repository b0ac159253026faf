"""Sessions of roles: the emulator's IAM enforces their permissions, so that every job tests its role."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from localcloud.account import ACCOUNT_ID, REGION, in_account
from localcloud.patches.patching import emulator
from localcloud.sagemaker.errors import invalid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SAGEMAKER = "sagemaker.amazonaws.com"
_SESSION_SECONDS = 24 * 3600
_CONNECTIONS = 100


@dataclass(frozen=True)
class RoleSession:
    """Credentials of an assumed role."""

    access_key: str
    secret: str
    token: str

    def client(self, service: str, endpoint: str, **options: Any) -> Any:
        """Return a client with the role's permissions. `options` are those of botocore's Config."""
        aws: Any = boto3.session.Session()  # of this thread: the default session must not be shared
        return aws.client(
            service,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token,
            config=Config(**options),
        )


@contextlib.contextmanager
def assumed(role_arn: str, session_name: str, service: str) -> Iterator[RoleSession]:
    """Provide a session of the role for `service`; raise ServiceError if the service may not assume the role."""
    check_trust(role_arn, service)
    sts = emulator("services.sts", "register_session", "_sessions")
    session = RoleSession(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32))
    role_name = role_arn.rsplit("/", 1)[-1]
    sts.register_session(
        session.access_key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role_name}/{session_name[:64]}",
            "UserId": f"{role_name}:{session_name}",
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": time.time() + _SESSION_SECONDS,
        },
    )
    try:
        yield session
    finally:
        sts._sessions.pop(session.access_key, None)


@contextlib.contextmanager
def s3_with_role(role_arn: str, session_name: str, endpoint: str) -> Iterator[S3Client]:
    """Provide an S3 client with the role's permissions; raise ServiceError if SageMaker may not assume the role."""
    with assumed(role_arn, session_name, _SAGEMAKER) as session:
        client = session.client("s3", endpoint, max_pool_connections=_CONNECTIONS, retries={"total_max_attempts": 3})
        try:
            yield client
        finally:
            client.close()


def check_trust(role_arn: str, service: str) -> None:
    """Raise ServiceError unless the role exists and its trust policy lets `service` of this account assume it."""
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
        policy = _for_service(role["AssumeRolePolicyDocument"], service) if role else None
        if policy is None or not evaluator.evaluate_trust_policy(policy, root, context):
            raise invalid(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{service}' to assume the role."
            )


def _for_service(document: str | dict[str, Any], service: str) -> dict[str, Any]:
    """Return the policy with the statements that name the service, since the evaluator does not compare services."""
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return {**policy, "Statement": [part for part in policy["Statement"] if service in json.dumps(part["Principal"])]}
