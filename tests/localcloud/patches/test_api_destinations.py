"""API destinations: a stack's rule posts to an address, tries again, and keeps what it could not deliver."""

from __future__ import annotations

import json

import pytest

from tests.fakes.receiver import receiving
from tests.localcloud.patches.test_eventbridge import permit

SECRET = "Bearer of a test"


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def stack(client, name, queue, receiver, until):
    """A stack with a connection, a destination and a rule; events are sent by the function it returns."""
    dead, arn = queue("-dead")
    permit(client, dead, arn)
    secret = client("secretsmanager").create_secret(Name=name, SecretString=SECRET)["ARN"]
    key = {"ApiKeyName": "Authorization", "ApiKeyValue": f"{{{{resolve:secretsmanager:{secret}:SecretString:::}}}}"}
    target = {
        "Id": "target",
        "Arn": {"Fn::GetAtt": ["Destination", "Arn"]},
        "DeadLetterConfig": {"Arn": arn},
        "RetryPolicy": {"MaximumRetryAttempts": 2},
    }
    resources = {
        "Connection": {
            "Type": "AWS::Events::Connection",
            "Properties": {"AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": key}},
        },
        "Destination": {
            "Type": "AWS::Events::ApiDestination",
            "Properties": {
                "ConnectionArn": {"Fn::GetAtt": ["Connection", "Arn"]},
                "InvocationEndpoint": receiver.url,
                "HttpMethod": "POST",
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {"EventPattern": {"source": [name]}, "Targets": [target]},
        },
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))

    def state():
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]

    until(lambda: state() == "CREATE_COMPLETE")

    def send(number):
        entry = {"Source": name, "DetailType": "test", "Detail": json.dumps({"number": number})}
        assert client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    send.dead = dead
    yield send
    cloudformation.delete_stack(StackName=name)
    until(lambda: not client("events").list_connections(NamePrefix=name)["Connections"])
    assert not client("events").list_api_destinations(NamePrefix=name)["ApiDestinations"]


def test_an_event_is_posted_with_the_secret(stack, receiver, until):
    stack(1)
    until(lambda: receiver.posts)
    ((headers, body),) = receiver.posts
    assert (headers["Authorization"], body["detail"], body["detail-type"]) == (SECRET, {"number": 1}, "test")


def test_an_address_that_fails_for_a_while_is_tried_again(stack, receiver, received, until):
    receiver.answers = [500, 429, 200]
    stack(2)
    until(lambda: len(receiver.posts) == 3)
    assert [one["detail"] for one in receiver.bodies] == [{"number": 2}] * 3
    assert received(stack.dead, seconds=1) == []


@pytest.mark.parametrize(("answer", "tries"), [(500, 3), (400, 1)])
def test_what_is_given_up_or_refused_is_a_dead_letter(stack, receiver, received, answer, tries):
    receiver.answers = [answer]
    stack(3)
    (event,) = received(stack.dead, seconds=15)
    assert event["detail"] == {"number": 3}
    assert len(receiver.posts) == tries
