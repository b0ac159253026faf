from __future__ import annotations

import json
from typing import Any

import pytest

from functions.names import METRIC_NAMESPACE, Metric


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


def test_the_metrics_that_need_an_action_are_watched(default: Any) -> None:
    own = [one for one in default.of_type("AWS::CloudWatch::Alarm").values() if one["Namespace"] == METRIC_NAMESPACE]
    assert {one["MetricName"] for one in own} == {
        Metric.MODEL_MISSING,
        Metric.BUDGET_REACHED,
        Metric.OLDEST_PENDING_SECONDS,
        Metric.UPLOADS_FAILED,
        Metric.UPLOADS_NOT_TAKEN,
        Metric.JOBS_FAILED,
        Metric.SWEEP_REPAIRS,
        Metric.OLDEST_OPEN_STUDY_SECONDS,
        Metric.APPROVALS_REFUSED,
    }
    service = default.environment("BatchSweep")["POWERTOOLS_SERVICE_NAME"]
    assert all(one["Dimensions"] == [{"Name": "service", "Value": service}] for one in own)


def test_every_alarm_publishes_to_the_topic_and_says_what_to_do(default: Any) -> None:
    for name, alarm in default.of_type("AWS::CloudWatch::Alarm").items():
        assert "Notices" in alarm["AlarmActions"][0]["Ref"], name
        assert len(alarm["AlarmDescription"]) > 30, name
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_the_dashboard_shows_every_metric_of_the_service(default: Any) -> None:
    (dashboard,) = default.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(dashboard["DashboardBody"])
    assert not [metric for metric in Metric if f'\\"{metric}\\"' not in body]


def test_a_run_that_failed_or_never_ended_raises_an_alarm(default: Any) -> None:
    watched = {
        alarm["MetricName"]
        for alarm in default.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/States"
        and "TrainingWorkflowStateMachine" in alarm["Dimensions"][0]["Value"]["Ref"]
    }
    assert watched == {"ExecutionsFailed", "ExecutionsTimedOut"}


def test_the_dashboard_shows_how_runs_end(default: Any) -> None:
    (dashboard,) = default.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(dashboard["DashboardBody"])
    assert all(f"Executions{one}" in body for one in ("Started", "Succeeded", "Failed", "TimedOut", "Aborted"))
