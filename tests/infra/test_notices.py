from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from infra.notices import Notices


def test_alarms_may_publish_to_the_encrypted_topic_over_tls_only(default: Any) -> None:
    assert "KmsMasterKeyId" in default.named("AWS::SNS::Topic", "Notices")
    policy = default.named("AWS::SNS::TopicPolicy", "NoticesPolicy")
    denied, allowed = policy["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    key_policy = default.named("AWS::KMS::Key", "StorageKey")["KeyPolicy"]["Statement"]
    (use,) = (one for one in key_policy if "cloudwatch.amazonaws.com" in str(one["Principal"]))
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


@pytest.mark.parametrize(
    ("email", "subscribed"), [("radiology-it@example.org", ["radiology-it@example.org"]), ("", [])]
)
def test_an_email_is_subscribed(tmp_path: Path, email: str, subscribed: list[str]) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
    Notices(stack, "Notices", key=kms.Key(stack, "Key"), email=email)
    subscriptions = Template.from_stack(stack).find_resources("AWS::SNS::Subscription").values()
    assert [one["Properties"]["Endpoint"] for one in subscriptions] == subscribed
