"""The end of a key raises a notice, by a topic that needs no key of the stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template
from ministack.services import eventbridge

from infra.key_watch import KeyWatch
from tests.infra.conftest import Assembly, text

ARN = "arn:aws:kms:eu-west-1:111122223333:key/{}"


def call(name: str, key: str, **more: str) -> dict[str, Any]:
    """Return a call of KMS as CloudTrail gives it to EventBridge."""
    detail = {"eventSource": "kms.amazonaws.com", "eventName": name, "requestParameters": {"keyId": key}, **more}
    return {
        "Source": "aws.kms",
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(detail),
        "Time": "2026-11-28T12:00:00Z",
        "Region": "eu-west-1",
        "Account": "111122223333",
        "EventId": "1",
        "Resources": [],
    }


@pytest.fixture(scope="module")
def pattern(default: Assembly) -> str:
    """Return the rule's pattern, with keys as a deployment names them."""
    document = json.loads(json.dumps(default.named("AWS::Events::Rule", "KeyWatchKeyEnds")["EventPattern"]))
    names = document["detail"]["requestParameters"]["keyId"]
    document["detail"]["requestParameters"]["keyId"] = [
        ARN.format(text(name)) if "Fn::GetAtt" in name else text(name) for name in names
    ]
    return json.dumps(document)


@pytest.mark.parametrize("key", ["<StorageKey>", "<IntakePatientKey>"])
@pytest.mark.parametrize("name", ["DisableKey", "ScheduleKeyDeletion"])
def test_the_end_of_each_key_matches_by_id_and_by_arn(pattern: str, key: str, name: str) -> None:
    assert eventbridge._matches_pattern(pattern, call(name, key))
    assert eventbridge._matches_pattern(pattern, call(name, ARN.format(key)))


def test_other_keys_other_calls_and_refused_ones_do_not_match(pattern: str) -> None:
    assert not eventbridge._matches_pattern(pattern, call("DisableKey", "another"))
    assert not eventbridge._matches_pattern(pattern, call("EnableKey", "<StorageKey>"))
    assert not eventbridge._matches_pattern(pattern, call("DisableKey", "<StorageKey>", errorCode="AccessDenied"))


def test_every_key_of_the_stage_is_watched(default: Assembly, pattern: str) -> None:
    for key in default.of_type("AWS::KMS::Key"):
        assert f'"<{key}>"' in pattern


def test_the_notice_needs_no_key_and_only_the_rule_publishes_it(default: Assembly) -> None:
    assert "KmsMasterKeyId" not in default.named("AWS::SNS::Topic", "KeyWatchTopic")
    policy = default.named("AWS::SNS::TopicPolicy", "KeyWatchTopicPolicy")["PolicyDocument"]["Statement"]
    denied, allowed = policy
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert text(allowed["Condition"]["ArnEquals"]["aws:SourceArn"]) == "<KeyWatchKeyEnds>"
    (target,) = default.named("AWS::Events::Rule", "KeyWatchKeyEnds")["Targets"]
    assert text(target["Arn"]) == "<KeyWatchTopic>"


@pytest.mark.parametrize(("email", "subscribed"), [("security@example.org", ["security@example.org"]), ("", [])])
def test_the_address_for_alarms_gets_notices_of_keys_too(tmp_path: Path, email: str, subscribed: list[str]) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
    KeyWatch(stack, "KeyWatch", keys=[kms.Key(stack, "Key")], email=email)
    subscriptions = Template.from_stack(stack).find_resources("AWS::SNS::Subscription").values()
    assert [one["Properties"]["Endpoint"] for one in subscriptions] == subscribed
