from __future__ import annotations

import json
import time

import pytest

from localcloud.patches.cloudwatch import alarm_state

ALARM = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 2.0, "StateValue": "OK"}


@pytest.mark.parametrize(
    ("values", "more", "state"),
    [
        ([2.0], {}, "ALARM"),
        ([1.9], {}, "OK"),
        ([2.0, 5.0, 2.0], {}, "ALARM"),
        ([2.0, 1.0, 2.0], {}, "OK"),
        ([2.0, 1.0, 2.0], {"DatapointsToAlarm": 2}, "ALARM"),
        ([2.0, None, 2.0], {"TreatMissingData": "notBreaching"}, "OK"),
        ([2.0, None, 2.0], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None], {}, "INSUFFICIENT_DATA"),
        ([None], {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "ALARM"),
        ([None], {"TreatMissingData": "notBreaching", "StateValue": "ALARM"}, "OK"),
    ],
)
def test_the_state_follows_from_every_period(values, more, state):
    assert alarm_state(ALARM | more, values) == state


@pytest.fixture
def alarm(client, name):
    """Make an alarm on the test's metric with a dimension; return a function that returns its state."""

    def make(suffix, dimension, **more):
        settings = {
            "Namespace": name,
            "MetricName": "Things",
            "Dimensions": [{"Name": "of", "Value": dimension}],
            "Statistic": "Sum",
            "Period": 10,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
        }
        client("cloudwatch").put_metric_alarm(AlarmName=f"{name}{suffix}", **settings | more)
        return lambda: client("cloudwatch").describe_alarms(AlarmNames=[f"{name}{suffix}"])["MetricAlarms"][0]

    return make


def put(client, name, dimension, value):
    dimensions = [{"Name": "of", "Value": dimension}]
    client("cloudwatch").put_metric_data(
        Namespace=name, MetricData=[{"MetricName": "Things", "Dimensions": dimensions, "Value": value}]
    )


def test_an_alarm_rings_for_its_own_dimensions_notifies_once_and_ends_when_its_period_is_over(
    client, name, alarm, queue, received, until
):
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    url, arn = queue(Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]}))
    topic = client("sns").create_topic(Name=name)["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    one, other = alarm("-one", "one", AlarmActions=[topic]), alarm("-other", "other", AlarmActions=[topic])
    put(client, name, "one", 1)
    until(lambda: one()["StateValue"] == "ALARM")
    time.sleep(3)
    put(client, name, "one", 1)
    assert other()["StateValue"] == "OK"
    until(lambda: one()["StateValue"] == "OK")
    (notice,) = received(url)
    message = json.loads(notice["Message"])
    assert (message["AlarmName"], message["NewStateValue"]) == (f"{name}-one", "ALARM")
    assert message["Trigger"]["Dimensions"] == [{"Name": "of", "Value": "one"}]


def test_an_alarm_of_three_periods_needs_all_three(client, name, alarm):
    state = alarm("", "one", EvaluationPeriods=3)
    put(client, name, "one", 100)
    assert state()["StateValue"] == "OK"
