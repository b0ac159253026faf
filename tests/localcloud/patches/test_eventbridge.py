"""EventBridge's targets: which may receive events, and where undeliverable events go."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def rule(client, name):
    """Make a rule with one target; return a function that sends it an event."""

    def make(target):
        client("events").put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
        client("events").put_targets(Rule=name, Targets=[{"Id": "target", **target}])

        def send(**detail):
            entry = {"Source": name, "DetailType": "test", "Detail": json.dumps(detail)}
            assert client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

        return send

    return make


def permit(client, url, arn):
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def test_a_queue_that_does_not_permit_it_gets_nothing_and_the_dead_letter_queue_gets_the_event(
    client, queue, rule, received
):
    closed, closed_arn = queue("-closed")
    dead, dead_arn = queue("-dead")
    permit(client, dead, dead_arn)
    rule({"Arn": closed_arn, "DeadLetterConfig": {"Arn": dead_arn}})(number=1)
    (event,) = received(dead, seconds=5)
    assert event["detail"] == {"number": 1}
    assert received(closed) == []


def test_a_queue_that_permits_it_gets_the_event(client, queue, rule, received):
    url, arn = queue()
    permit(client, url, arn)
    rule({"Arn": arn})(number=2)
    (event,) = received(url, seconds=5)
    assert event["detail"] == {"number": 2}


def test_a_target_that_does_not_exist_counts_as_failed(client, queue, rule, received):
    dead, dead_arn = queue("-dead")
    permit(client, dead, dead_arn)
    rule({"Arn": dead_arn + "-missing", "DeadLetterConfig": {"Arn": dead_arn}})(number=3)
    assert received(dead, seconds=5)[0]["detail"] == {"number": 3}


def test_a_function_that_fails_is_tried_again(client, queue, rule, function, received, until):
    url, arn = queue()
    source = """
import boto3, os
def handler(event, context):
    tries = boto3.client("sqs").get_queue_attributes(QueueUrl=os.environ["SEEN"], AttributeNames=["All"])["Attributes"]
    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody="1")
    if tries["ApproximateNumberOfMessages"] == "0":
        raise RuntimeError("not yet")
"""
    name = function(
        source,
        ("sqs:*", arn),
        Environment={"Variables": {"SEEN": url}},
    )
    target = client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    rule({"Arn": target})()
    seen = []
    until(lambda: (seen.extend(received(url, seconds=1)), len(seen) == 2)[1])
