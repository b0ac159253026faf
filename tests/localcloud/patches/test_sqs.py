"""Queues and the functions that read them: batches, windows, order, partial failures, dead letters, redrive."""

from __future__ import annotations

import json
import threading
import time

import pytest

from localcloud.patches.sqs import WakeUp, _due, install_removals

# A function that writes what it got to a queue: one message for each invocation. It fails bodies that say so.
RELAY = """
import boto3, json, os
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(bodies))
    failed = [record["messageId"] for record in event["Records"] if "fail" in record["body"]]
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}
"""


@pytest.fixture
def relay(client, queue, function):
    """Read a queue with the relaying function; return the URL of the queue to which it relays."""
    mappings = []

    def make(arn, **settings):
        seen, seen_arn = queue("-seen")
        name = function(RELAY, ("sqs:SendMessage", seen_arn), Environment={"Variables": {"SEEN": seen}})
        mapping = client("lambda").create_event_source_mapping(
            FunctionName=name, EventSourceArn=arn, FunctionResponseTypes=["ReportBatchItemFailures"], **settings
        )
        mappings.append(mapping["UUID"])
        return seen

    yield make
    for uuid in mappings:
        client("lambda").delete_event_source_mapping(UUID=uuid)


def send(client, url, *bodies):
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    for start in range(0, len(entries), 10):
        client("sqs").send_message_batch(QueueUrl=url, Entries=entries[start : start + 10])


def test_a_full_batch_is_larger_than_ten_and_does_not_wait_for_the_window(client, queue, relay, received):
    url, arn = queue()
    bodies = [f"message {number}" for number in range(20)]
    send(client, url, *bodies)
    seen = relay(arn, BatchSize=20, MaximumBatchingWindowInSeconds=60)
    assert received(seen, seconds=20) == [bodies]


def test_the_window_gathers_what_comes_one_by_one(client, queue, relay, received):
    url, arn = queue()
    seen = relay(arn, BatchSize=50, MaximumBatchingWindowInSeconds=2)
    for body in ("one", "two", "three"):
        send(client, url, body)
        time.sleep(0.1)
    assert received(seen, seconds=20) == [["one", "two", "three"]]


def test_a_failed_message_alone_comes_again_and_ends_in_the_dead_letter_queue(client, queue, relay, received, until):
    dead, dead_arn = queue("-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "2"})
    url, arn = queue(VisibilityTimeout="1", RedrivePolicy=redrive)
    seen = relay(arn, BatchSize=10)

    send(client, url, '"good"', '"fail"')

    letters = until(lambda: received(dead, seconds=1))
    assert letters == ["fail"]
    batches = []
    until(lambda: (batches.extend(received(seen)), len(batches) >= 2)[1])
    bodies = [body for batch in batches for body in batch]
    assert sorted(bodies) == ['"fail"', '"fail"', '"good"']


def test_fifo_keeps_order_drops_duplicates_and_waits_its_delay(client, queue, relay, received, until):
    url, arn = queue(".fifo", FifoQueue="true", DelaySeconds="1")
    seen = relay(arn, BatchSize=10)
    sent = time.time()
    for body, deduplication in (("one", "a"), ("two", "b"), ("again", "a"), ("three", "c")):
        client("sqs").send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=deduplication
        )
    batches = []
    until(lambda: (batches.extend(received(seen, seconds=1)), sum(map(len, batches)) >= 3)[1])
    assert [body for batch in batches for body in batch] == ["one", "two", "three"]
    assert time.time() - sent >= 1


def test_redrive_sends_dead_letters_again(client, queue, received):
    dead, dead_arn = queue("-dead")
    url, _arn = queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "1"}))
    send(client, dead, '"dead"')

    client("sqs").start_message_move_task(SourceArn=dead_arn)

    (task,) = client("sqs").list_message_move_tasks(SourceArn=dead_arn)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert received(url, seconds=5) == ["dead"]
    assert received(dead) == []


ENTRY = {"Id": "a", "ReceiptHandle": "handle"}


@pytest.mark.parametrize(
    "removal",
    [
        lambda sqs, queue: sqs._expire_retained(queue),
        lambda sqs, queue: sqs._dlq_sweep(queue),
        lambda sqs, queue: sqs._delete_messages_for_esm("url", {"handle"}),
        lambda sqs, queue: sqs._HANDLERS["DeleteMessage"]({"ReceiptHandle": "handle"}, "url"),
        lambda sqs, queue: sqs._HANDLERS["DeleteMessageBatch"](
            {"Entries": [{"Id": "a", "ReceiptHandle": "handle"}]}, "url"
        ),
    ],
    ids=["expire", "sweep", "delete-for-mapping", "delete", "delete-batch"],
)
def test_a_message_that_arrives_during_a_removal_stays(module, monkeypatch, removal):
    """The emulator's threads append to the list that they found: it must still be the queue's list afterwards."""
    sqs = module("services.sqs")
    monkeypatch.setattr(sqs, "_HANDLERS", dict(sqs._HANDLERS))
    install_removals()
    policy = json.dumps({"deadLetterTargetArn": "arn", "maxReceiveCount": 1})
    doomed = {"receipt_handle": "handle", "receive_count": 1, "visible_at": 0, "sent_at": 0, "sys": {}}
    found = [doomed]
    attributes = {"RedrivePolicy": policy, "QueueArn": "other"}
    monkeypatch.setattr(sqs, "_get_q", lambda *_: {"messages": found, "attributes": attributes, "is_fifo": False})
    monkeypatch.setattr(sqs, "_queue_by_arn", lambda _arn: {"messages": []})
    removal(sqs, sqs._get_q())
    late = {**doomed, "receipt_handle": "late"}
    found.append(late)
    assert sqs._get_q()["messages"] == [late]


def test_an_invalid_receipt_deletes_nothing(client, queue, received):
    url, _arn = queue()
    send(client, url, '"kept"')
    sqs = client("sqs")
    with pytest.raises(sqs.exceptions.ClientError, match="receipt handle is invalid"):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="none")
    failed = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": "none"}])["Failed"]
    assert [entry["Id"] for entry in failed] == ["a"]
    assert received(url) == ["kept"]


@pytest.mark.parametrize(
    ("visible", "size", "window", "due"),
    [
        ([], 2, 5, float("inf")),
        ([10], 2, 5, 15),
        ([10, 12], 2, 5, 12),
        ([12, 10], 2, 0, 10),
        ([10, 12, 13], 2, 60, 12),
    ],
)
def test_a_batch_is_due_when_it_is_full_or_its_window_is_over(visible, size, window, due):
    assert _due([{"visible_at": at} for at in visible], size, window) == due


def test_the_poller_wakes_at_the_earliest_requested_time():
    woken = threading.Event()
    wake_up = WakeUp(woken.set)
    wake_up.at(time.time() + 60)
    wake_up.at(time.time() + 0.01)
    assert woken.wait(10)
    woken.clear()
    wake_up.at(time.time() - 1)
    assert woken.wait(10)
