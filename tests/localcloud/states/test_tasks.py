"""Functions and notices as tasks, and what a task may not do."""

from __future__ import annotations

import json

import pytest

FLAKY = """
import os
class TooFewSlices(Exception): pass
def handler(event, context):
    if event.get("fail"): raise TooFewSlices(event["fail"])
    if event.get("large"): return "x" * event["large"]
    return {"got": event, "none": None}
"""


@pytest.fixture
def invoking(function):
    """Return a Task state that invokes the test's function with a payload."""
    made = function(FLAKY)

    def make(payload, **members):
        arguments = {"FunctionName": made, "Payload": payload}
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": arguments,
            "End": True,
            **members,
        }

    return make


def test_a_function_gets_the_payload_and_its_answer_is_the_result(run, invoking):
    payload = {"Execution": "{% $states.context.Execution.Name %}", "Input": "{% $states.input %}"}
    ended = run({"Call": invoking(payload)}, {"n": 1, "list": ["one"]})
    assert ended["output"]["StatusCode"] == 200
    assert ended["output"]["Payload"]["got"] == {"Execution": ended["name"], "Input": {"n": 1, "list": ["one"]}}


def test_a_function_s_error_is_the_task_s_by_its_own_name(run, invoking):
    ended = run({"Call": invoking({"fail": "only 3"})})
    assert ended["error"] == "TooFewSlices"
    assert json.loads(ended["cause"])["errorMessage"] == "only 3"


def test_a_function_that_is_not_there_and_one_that_may_not_be_invoked(run, invoking, name):
    absent = invoking({})
    absent["Arguments"]["FunctionName"] = f"{name}-none"
    assert run({"Call": absent})["error"] == "Lambda.ResourceNotFoundException"
    ended = run({"Call": invoking({})}, without="lambda:InvokeFunction")
    assert ended["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in ended["cause"]


def test_a_result_that_is_too_large_ends_the_execution_whatever_is_caught(run, invoking):
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Never"}
    call = invoking({"large": 300_000}, Catch=[caught])
    ended = run({"Call": call, "Never": {"Type": "Pass", "End": True}})
    assert ended["error"] == "States.DataLimitExceeded"
    assert "more than the 262144" in ended["cause"]


def test_a_task_that_there_is_not_is_said_so(run):
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "Arguments": {}, "End": True}
    ended = run({"Call": task})
    assert ended["error"] == "States.Runtime"
    assert "lambda:invoke, sagemaker:createProcessingJob" in ended["cause"]


@pytest.fixture
def topic(client, queue, name):
    """Make a topic encrypted with a key, and a queue that gets its messages; return topic, key and queue."""
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    topic = client("sns").create_topic(Name=name, Attributes={"KmsMasterKeyId": key})["TopicArn"]
    sending = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "*", "Resource": "*"}
    url, arn = queue(Policy=json.dumps({"Version": "2012-10-17", "Statement": [sending]}))
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, key, url


def publishing(topic):
    arguments = {"TopicArn": topic, "Subject": "{% 'run ' & $states.input.run %}", "Message": {"Run": "x"}}
    return {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": arguments, "End": True}


def test_a_notice_goes_out_through_a_topic_with_a_key(run, topic, permissions, received):
    arn, key, url = topic
    permissions += [("kms:GenerateDataKey*", key), ("kms:Decrypt", key)]
    ended = run({"Notify": publishing(arn)}, {"run": "7"})
    assert ended["status"] == "SUCCEEDED", ended
    (message,) = received(url, seconds=5)
    assert message["MessageId"] == ended["output"]["MessageId"]
    assert (message["Subject"], json.loads(message["Message"])) == ("run 7", {"Run": "x"})


def test_a_notice_needs_the_topic_and_its_key(run, topic, permissions):
    arn, key, _url = topic
    assert run({"Notify": publishing(arn)}, {"run": "7"})["error"] == "SNS.KMSAccessDeniedException"
    permissions += [("kms:GenerateDataKey*", key), ("kms:Decrypt", key)]
    ended = run({"Notify": publishing(arn)}, {"run": "7"}, without="sns:Publish")
    assert "is not authorized to perform: sns:Publish" in ended["cause"]
