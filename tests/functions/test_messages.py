"""A failed message fails alone."""

from __future__ import annotations

import pytest

from functions.messages import Message, process, process_messages
from tests.fakes.wire import client_error


def test_the_log_names_the_error_but_not_its_text(caplog: pytest.LogCaptureFixture) -> None:
    def handle(_body: str) -> None:
        raise client_error("AccessDenied", "not authorized on arn:aws:s3:::uploads/DOE^JOHN.dcm")

    process({"Records": [{"messageId": "m", "body": ""}]}, handle)
    logged = str([vars(record) for record in caplog.records])
    assert "AccessDenied" in logged
    assert "DOE" not in logged


def test_only_failed_messages_are_delivered_again() -> None:
    event = {"Records": [{"messageId": str(number), "body": str(number)} for number in range(6)]}
    seen: list[str] = []

    def handle(body: str) -> None:
        seen.append(body)
        if int(body) % 2:
            raise OSError(body)

    for workers in (1, 4):
        answer = process(event, handle, workers)
        assert answer == {"batchItemFailures": [{"itemIdentifier": number} for number in ("1", "3", "5")]}
    assert sorted(seen) == sorted("012345" * 2)


@pytest.mark.parametrize(
    ("attributes", "delivery"),
    [
        ({}, 1),
        ({"ApproximateReceiveCount": "3"}, 3),
        ({"ApproximateReceiveCount": "1", "DeadLetterQueueSourceArn": "arn:aws:sqs:::uploads"}, 2),
        ({"ApproximateReceiveCount": "3", "DeadLetterQueueSourceArn": "arn:aws:sqs:::uploads"}, 3),
    ],
)
def test_a_message_counts_its_deliveries_across_queues(attributes: dict[str, str], delivery: int) -> None:
    seen: list[Message] = []
    process_messages({"Records": [{"messageId": "m", "body": "b", "attributes": attributes}]}, seen.append, workers=1)
    assert seen == [Message("b", delivery)]
