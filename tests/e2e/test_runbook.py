"""The run book of docs/operations.md, tried: drain and continue, redrive dead letters, restore the index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.aws.index import row_in
from functions.domain.row import Status
from tests.e2e.conftest import Service
from wetread.demo.phantoms import phantom_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
STILL_SECONDS = 12.0


def until(happened: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.3)
    return found


@contextmanager
def paused(service: Service, part: str) -> Iterator[None]:
    """Disable the mapping of the function that reads the queue."""
    functions = service.connection.client("lambda")
    arn = service.connection.sqs.get_queue_attributes(QueueUrl=service.queue_url(part), AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    until(lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Disabled")
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def sweep_rule(service: Service) -> str:
    rules = service.connection.client("events").list_rules()["Rules"]
    (name,) = [rule["Name"] for rule in rules if rule.get("ScheduleExpression")]
    return str(name)


def test_drained_the_service_starts_nothing_and_continues_where_it_was(service: Service) -> None:
    events, rule = service.connection.client("events"), sweep_rule(service)
    events.disable_rule(Name=rule)
    try:
        with paused(service, "Tick"):
            uploads = service.put_all({f"drain/{n}.dcm": phantom_bytes("cap", 600 + n, 0, size=128) for n in range(3)})
            index = service.connection.index
            until(lambda: len(index.get_many(uploads.values())) == len(uploads))
            time.sleep(STILL_SECONDS)
            assert {row.status for row in index.get_many(uploads.values()).values()} == {Status.PENDING}
    finally:
        events.enable_rule(Name=rule)
    assert {row.status for row in service.rows(uploads).values()} == {Status.COMPLETED}


def test_dead_letters_that_are_redriven_are_handled(service: Service) -> None:
    sqs = service.connection.sqs
    source = service.queue_url("Uploads")
    (dead,) = [url for url in service.connection.deployment.dead_letter_queue_urls if "Uploads" in url]
    with paused(service, "Uploads"):
        upload = service.put("redrive/a.dcm", phantom_bytes("cap", 610, 0, size=128))
        (message,) = until(lambda: sqs.receive_message(QueueUrl=source, WaitTimeSeconds=1).get("Messages"))
        sqs.send_message(QueueUrl=dead, MessageBody=message["Body"])
        sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.start_message_move_task(SourceArn=arn)
    (row,) = service.rows({"redrive/a.dcm": upload}).values()
    assert row.status is Status.COMPLETED


def test_the_index_is_restored_beside_itself(service: Service) -> None:
    dynamodb, table = service.connection.dynamodb, service.connection.deployment.index_table_name
    continuous = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert continuous["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    upload = service.put("restore/a.dcm", phantom_bytes("cap", 620, 0, size=128))
    service.rows({"a": upload})
    restored = f"{table}-restored"
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=table, TargetTableName=restored, RestoreDateTime=datetime.now(UTC)
    )
    until(lambda: dynamodb.describe_table(TableName=restored)["Table"]["TableStatus"] == "ACTIVE")
    try:
        item = dynamodb.get_item(TableName=restored, Key={"UploadId": {"S": upload}})["Item"]
        assert row_in(item).status == Status.COMPLETED
    finally:
        dynamodb.delete_table(TableName=restored)
