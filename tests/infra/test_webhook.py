"""A stage with a webhook sends the events of studies to it, and keeps what could not be delivered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_cdk import App

from infra import rights
from infra.app import ROOT
from infra.compliance import review
from infra.config import ConfigError, StageConfig
from infra.service import Service
from tests.infra.conftest import Assembly, text
from tests.infra.test_people import MOST_CHARACTERS, deployed

URL = "https://hospital.example/wetread?site=7"
SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:webhook-AbCdEf"
CONFIG = StageConfig(webhook_url=URL, webhook_secret_arn=SECRET, protect_data=False, image_uri="image")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Synthesise a stage with a webhook; cdk-nag accepts it."""
    folder = tmp_path_factory.mktemp("webhook")
    app = App(outdir=str(folder), context=json.loads((ROOT / "cdk.json").read_text())["context"])
    Service(app, "Wetread", config=CONFIG)
    review(app)
    app.synth()
    return Assembly(folder, json.loads((folder / "Wetread.template.json").read_text()))


def test_a_stage_has_no_webhook_by_default(default: Assembly) -> None:
    assert not [name for name in default.template["Resources"] if name.startswith("Webhook")]


def test_every_event_of_a_study_is_sent_to_the_address(stage: Assembly) -> None:
    rule = stage.named("AWS::Events::Rule", "WebhookStudyRead")
    assert rule["EventPattern"] == {
        "source": ["wetread"],
        "detail-type": ["Study Read", "Study Read Revised", "Study Read Withdrawn", "Study Results Ready"],
        "detail": {"Service": ["wetread"]},
    }
    (target,) = rule["Targets"]
    assert text(target["Arn"]) == "<WebhookDestinationApiDestination>"
    assert "InputTransformer" not in target
    destination = stage.named("AWS::Events::ApiDestination", "WebhookDestinationApiDestination")
    assert (destination["InvocationEndpoint"], destination["HttpMethod"]) == (URL, "POST")


def test_examiners_see_what_the_webhook_did_not_take(stage: Assembly, default: Assembly) -> None:
    assert text(stage.template["Outputs"]["WebhookDeadLettersUrl"]["Value"]) == "<WebhookDeadLetters>"
    assert ("sqs:GetQueueAttributes", "<WebhookDeadLetters>") in stage.permissions("PeopleExaminer")
    assert "WebhookDeadLettersUrl" not in default.template["Outputs"]
    document = stage.named("AWS::IAM::ManagedPolicy", "PeopleExaminer")["PolicyDocument"]
    assert len(json.dumps(deployed(document), separators=(",", ":"))) <= MOST_CHARACTERS


def test_the_secret_is_the_authorization_header_and_not_in_the_template(stage: Assembly) -> None:
    connection = stage.named("AWS::Events::Connection", "WebhookConnection")
    assert connection["AuthParameters"]["ApiKeyAuthParameters"] == {
        "ApiKeyName": "Authorization",
        "ApiKeyValue": f"{{{{resolve:secretsmanager:{SECRET}:SecretString:::}}}}",
    }


def test_what_could_not_be_delivered_is_kept_encrypted_and_raises_an_alarm(stage: Assembly) -> None:
    (target,) = stage.named("AWS::Events::Rule", "WebhookStudyRead")["Targets"]
    assert text(target["DeadLetterConfig"]["Arn"]) == "<WebhookDeadLetters>"
    assert text(stage.named("AWS::SQS::Queue", "WebhookDeadLetters")["KmsMasterKeyId"]) == "<StorageKey>"
    alarm = stage.named("AWS::CloudWatch::Alarm", "MonitoringWebhookDeadLetters")
    (dimension,) = alarm["Dimensions"]
    assert text(dimension["Value"]) == "<WebhookDeadLetters>"
    (statement,) = (
        one
        for one in stage.named("AWS::SQS::QueuePolicy", "WebhookDeadLettersPolicy")["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
    )
    assert text(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == "<WebhookStudyRead>"


def test_the_rule_may_send_to_this_address_and_do_nothing_else(stage: Assembly) -> None:
    assert stage.permissions("Webhook") == {("events:InvokeApiDestination", "<WebhookDestinationApiDestination>")}


def test_cfn_lint_finds_nothing(stage: Assembly) -> None:
    assert stage.lint() == ""


def test_who_deploys_may_make_it(stage: Assembly) -> None:
    statements = rights.deployer(stage.template, CONFIG, "111122223333", "eu-west-1")["Statement"]
    allowed = {(action, one["Resource"][0]) for one in statements for action in one["Action"]}
    assert ("secretsmanager:GetSecretValue", SECRET) in allowed
    assert ("events:*Connection", "arn:aws:events:eu-west-1:111122223333:connection/Wetread*") in allowed


@pytest.mark.parametrize(
    "url",
    [
        "http://hospital.example/wetread",
        "https://user:word@hospital.example/wetread",
        "https://hospital.example/wetread#part",
        "https://hospital.example/*",
        "https://10.0.0.7/wetread",
        "https://localhost/wetread",
        "https://hospital.example:99999/wetread",
        "https:///wetread",
        "https://hospital.example/a b",
        f"https://hospital.example/{'a' * 2048}",
    ],
)
def test_an_address_that_eventbridge_cannot_use_or_that_has_a_password_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"webhook_url is .*'https://<domain name>/<path>'") as caught:
        StageConfig(webhook_url=url, webhook_secret_arn=SECRET)
    assert "word@" not in str(caught.value)


def test_an_address_and_its_secret_belong_together() -> None:
    both = re.escape("both or neither are expected")
    for one in ({"webhook_url": URL}, {"webhook_secret_arn": SECRET}):
        settings: dict[str, Any] = one
        with pytest.raises(ConfigError, match=both):
            StageConfig(**settings)
    with pytest.raises(ConfigError, match="the ARN of a secret is expected"):
        StageConfig(webhook_url=URL, webhook_secret_arn="my-secret")
