from __future__ import annotations

import pytest
from botocore.config import Config


@pytest.fixture
def counts(total):
    """Return a function's invocations, errors and throttles."""
    names = ("Invocations", "Errors", "Throttles")
    return lambda function: tuple(total("AWS/Lambda", name, FunctionName=function) for name in names)


SOURCE = "def handler(event, context):\n    assert not isinstance(event, dict) or event.get('Records')"


def test_each_invocation_by_the_api_is_counted_once_with_its_error(function, invoke, counts):
    name = function(SOURCE)
    invoke(name, "good")
    invoke(name, {})
    assert counts(name) == (2, 1, 0)


def test_what_a_queue_invokes_is_counted_as_well(client, function, queue, counts, until):
    url, arn = queue()
    reads = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    name = function(SOURCE, *((action, arn) for action in reads))
    client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName=name)
    client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    until(lambda: counts(name) == (1, 0, 0))


def test_a_throttled_call_is_no_invocation_and_no_error(client, session, function, invoke, counts):
    name = function(SOURCE)
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    impatient = session.client("lambda", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(impatient.exceptions.TooManyRequestsException):
        impatient.invoke(FunctionName=name)
    assert counts(name) == (None, None, 1)
    client("lambda").delete_function_concurrency(FunctionName=name)
    invoke(name, "good")
    assert counts(name) == (1, 0, 1)
