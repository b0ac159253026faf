"""The caller is the identity of the credentials in use, as STS names it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from functions.aws.caller import caller_arn
from tests.fakes.wire import Wire

ARN = "arn:aws:sts::111111111111:assumed-role/Approver/kim"


def test_the_caller_is_the_arn_that_sts_answers() -> None:
    fake = SimpleNamespace(get_caller_identity=lambda: {"Arn": ARN, "Account": "111111111111", "UserId": "A:kim"})
    sts: Any = Wire("sts", fake)
    assert caller_arn(sts) == ARN
