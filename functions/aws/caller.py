"""The caller's ARN. It is recorded beside what was done; no decision depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

Caller = Callable[[], str]
"""Return the ARN of the caller: a user, or the session of a role (a function's is named after the function)."""


def caller_arn(sts: STSClient) -> str:
    """Return the ARN of the credentials in use, as AWS STS answers it. The request needs no permission."""
    return sts.get_caller_identity()["Arn"]
