from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from functions.settings import METRIC_NAMESPACE, Metric
from infra.config import StageConfig
from infra.monitoring import Monitoring


def of_queue(alarm: dict[str, Any]) -> str:
    (dimension,) = alarm["Dimensions"]
    return str(dimension["Value"]["Fn::GetAtt"][0][:-8])


def test_one_dead_letter_in_any_queue_raises_an_alarm(default: Any) -> None:
    watched = {
        of_queue(alarm)
        for alarm in default.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["Threshold"] == 1
    }
    assert watched == {name for name in default.of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")}


def test_a_queue_that_is_not_consumed_raises_an_alarm(default: Any) -> None:
    watched = {
        of_queue(alarm)
        for alarm in default.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    }
    assert watched == {name for name in default.of_type("AWS::SQS::Queue") if name.endswith("Queue")}


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_every_function_is_watched(default: Any, metric: str) -> None:
    alarms = [one for one in default.of_type("AWS::CloudWatch::Alarm").values() if one["MetricName"] == metric]
    assert len(alarms) == len(default.of_type("AWS::Lambda::Function"))


def test_the_services_own_metrics_that_ask_for_an_action_are_watched(default: Any) -> None:
    own = [one for one in default.of_type("AWS::CloudWatch::Alarm").values() if one["Namespace"] == METRIC_NAMESPACE]
    assert {one["MetricName"] for one in own} == {
        Metric.MODEL_MISSING,
        Metric.OLDEST_PENDING_SECONDS,
        Metric.UPLOADS_FAILED,
        Metric.JOBS_FAILED,
        Metric.SWEEP_REPAIRS,
    }
    service = default.environment("BatchSweep")["POWERTOOLS_SERVICE_NAME"]
    assert all(one["Dimensions"] == [{"Name": "service", "Value": service}] for one in own)


def test_every_alarm_tells_the_topic_and_says_what_to_do(default: Any) -> None:
    for name, alarm in default.of_type("AWS::CloudWatch::Alarm").items():
        assert "MonitoringAlarms" in alarm["AlarmActions"][0]["Ref"], name
        assert len(alarm["AlarmDescription"]) > 30, name
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_alarms_may_publish_to_the_encrypted_topic_over_tls_only(default: Any) -> None:
    assert "KmsMasterKeyId" in default.named("AWS::SNS::Topic", "MonitoringAlarms")
    (policy,) = default.of_type("AWS::SNS::TopicPolicy").values()
    denied, allowed = policy["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    key_policy = default.named("AWS::KMS::Key", "StorageKey")["KeyPolicy"]["Statement"]
    assert {"Service": "cloudwatch.amazonaws.com"} in [one["Principal"] for one in key_policy]


def test_the_dashboard_shows_every_metric_of_the_service(default: Any) -> None:
    (dashboard,) = default.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(dashboard["DashboardBody"])
    assert not [metric for metric in Metric if f'\\"{metric}\\"' not in body]


def test_an_alarm_email_is_subscribed(tmp_path: Path) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
    config = StageConfig(alarm_email="radiology-it@example.org")
    Monitoring(stack, "Monitoring", config=config, key=kms.Key(stack, "Key"), functions={}, queues={})
    (subscription,) = Template.from_stack(stack).find_resources("AWS::SNS::Subscription").values()
    assert subscription["Properties"]["Endpoint"] == "radiology-it@example.org"
