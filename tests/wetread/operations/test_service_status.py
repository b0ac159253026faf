"""One look: bounded counts, slots, the oldest wait, dead letters."""

from datetime import UTC, datetime

import pytest

from functions.domain.batch import Batch, BatchStatus
from functions.domain.row import Status
from wetread.operations import service_status
from wetread.operations.service_status import Count, read_status

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BATCH = Batch(
    batch_id="b1",
    status=BatchStatus.SUBMITTED,
    slot=1,
    model_name="wetread-3",
    model_package="wetread/3",
    created_at="2026-11-23T08:59:00.000Z",
    updated_at="2026-11-23T08:59:30.000Z",
)


def test_everything_is_seen(connection, pending, completed) -> None:
    connection.index.rows += [
        pending(received_at="2026-11-23T08:50:00.000Z"),
        pending(received_at="2026-11-23T08:40:00.000Z"),
        completed(),
    ]
    connection.batches.held[1] = BATCH
    connection.sqs.numbers["tick-dead"] = 3
    connection.batches.opened = {"2026-11-22": 40, "2026-11-23": 7}
    document = read_status(connection, NOW).to_json(NOW)
    assert document["Uploads"]["Pending"] == {"Count": 2, "Bounded": False}
    assert document["Uploads"]["Failed"] == {"Count": 0, "Bounded": False}
    assert document["OldestPendingSeconds"] == 1200
    assert document["Slots"][0] == {"Slot": 0, "BatchId": None}
    assert document["Slots"][1]["TransformJobName"] == "wetread-b1"
    assert document["Slots"][1]["BatchStatus"] == "Submitted"
    assert document["JobsToday"] == {"Count": 7, "Most": 1000}
    assert document["Champion"]["ModelPackage"] == "wetread/3"
    assert document["DeadLetters"] == {"uploads-dead": 0, "tick-dead": 3}


def test_what_is_read_again_waits_since_it_was_asked_for(connection, pending) -> None:
    connection.index.rows += [
        pending(received_at="2026-10-01T08:00:00.000Z", requeued_at="2026-11-23T08:55:00.000Z"),
        pending(received_at="2026-11-23T08:50:00.000Z"),
    ]
    assert read_status(connection, NOW).to_json(NOW)["OldestPendingSeconds"] == 600


def test_an_empty_service(connection) -> None:
    connection.registry.champion = lambda: None
    document = read_status(connection, NOW).to_json(NOW)
    assert document["Champion"] is None
    assert document["OldestPendingSeconds"] is None


@pytest.mark.parametrize(("rows", "count"), [(9, Count(9, False)), (10, Count(10, False)), (11, Count(10, True))])
def test_counting_reads_no_more_than_its_bound(connection, pending, monkeypatch, rows, count) -> None:
    monkeypatch.setattr(service_status, "COUNT_BOUND", 10)
    connection.index.rows += [pending() for _ in range(rows)]
    assert read_status(connection, NOW).uploads[Status.PENDING] == count


def test_a_bounded_count_says_so() -> None:
    assert str(Count(10_000, bounded=True)) == "10,000+"
    assert str(Count(1234, bounded=False)) == "1,234"
