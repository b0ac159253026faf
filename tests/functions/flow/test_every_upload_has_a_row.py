"""Every upload has a row that is terminal or moves, from ten minutes after it on, and a terminal one in the end.

Every error that S3 can answer with is tried, each for one upload, for as long as the deployed queues deliver it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions import ingest
from functions.domain.errors import RefusalCode
from functions.domain.row import Row, Status, expiry, moment_of
from functions.flow.ingesting import LAST_DELIVERY
from functions.flow.stalling import MOST_ENDED, STALLED_SECONDS
from functions.names import Metric
from infra import ingest as deployed
from infra.queues import VISIBILITY_FACTOR
from tests.fakes.aws_errors import UNKNOWN, every_error, of_the_model
from tests.fakes.deployed import DEPLOYED, WITHIN
from tests.fakes.dicom import ct
from tests.fakes.lambda_queue import LambdaQueue
from tests.fakes.wire import client_error
from tests.fakes.world import World

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
BETWEEN_TRIES = VISIBILITY_FACTOR * deployed.TIMEOUT.to_seconds()
ALL_TRIES = (deployed.RETRIES + 2) * BETWEEN_TRIES
AT_ONCE = {RefusalCode.OBJECT_GONE, RefusalCode.ARCHIVED, RefusalCode.CUSTOMER_KEY}
Asked = Callable[..., Any]


def queue_of(world: World, monkeypatch: pytest.MonkeyPatch) -> LambdaQueue:
    monkeypatch.setattr(ingest, "_parts", lambda: (world.ingesting, world.ticks))
    monkeypatch.setattr(ingest, "WORKERS", 1)
    monkeypatch.setattr("functions.wiring.now", world.clock)
    return LambdaQueue(world, DEPLOYED, ingest.handler)


def failing_by_key(world: World, operation: str, errors: dict[str, ClientError]) -> None:
    """Let the operation raise ``errors[key]`` for the object that has the error's name as its key."""
    answer: Asked = getattr(world.s3, operation)

    def asked(**request: Any) -> Any:
        key = request["CopySource"]["Key"] if operation == "copy_object" else request["Key"]
        if key in errors:
            raise ClientError(errors[key].response, operation)  # type: ignore[arg-type]  # a new one: tracebacks add up
        return answer(**request)

    setattr(world.s3, operation, asked)


def moves(row: Row, world: World) -> bool:
    """Return whether the row is terminal or moves; a Received one moves if a try was made since one was due."""
    tried = (world.time - moment_of(row.updated_at)).total_seconds() <= BETWEEN_TRIES
    return row.status != Status.RECEIVED or tried


def test_the_model_names_errors() -> None:
    named = {code for codes in of_the_model("s3").values() for code in codes}
    assert {"NoSuchKey", "InvalidObjectState", "ObjectNotInActiveTierError"} <= named


@pytest.mark.parametrize("operation", ["get_object", "copy_object", "head_object"])
def test_whatever_s3_answers_each_upload_has_a_terminal_or_moving_row(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, errors = World(), every_error(operation)
    failing_by_key(world, operation, errors)
    if operation == "head_object":  # asked only about an object that is denied
        failing_by_key(world, "get_object", dict.fromkeys(errors, client_error("AccessDenied")))
    queue = queue_of(world, monkeypatch)
    for number, key in enumerate([*errors, "good"]):
        queue.upload(key, ct(SOPInstanceUID=f"1.2.{number}"))
    queue.run(WITHIN)
    rows = {row.key: row for row in world.rows()}
    assert rows.pop("good").status == Status.PENDING
    assert set(rows) == set(errors)
    lasting = {key for key, row in rows.items() if row.status == Status.RECEIVED}
    for _ in range(int(ALL_TRIES / 60)):
        assert not [row.key for row in world.rows() if not moves(row, world)]
        queue.run(60)
    ended = {row.key: row for row in world.rows() if row.key != "good"}
    assert {row.status for row in ended.values()} == {Status.REFUSED}
    assert {key for key, row in ended.items() if row.code == RefusalCode.HELD_UP} == lasting
    assert len(queue.dead) == len(lasting), "what AWS held up can be redriven, and nothing else is left"
    assert not any("DOE" in str(row.reason) for row in ended.values())
    for key, row in ended.items():
        said = row.code in AT_ONCE or key.split()[0] in str(row.reason) or operation == "head_object"
        assert said, f"{key}: the row names no error: {row.reason}"


@pytest.mark.parametrize("operation", ["get_object", "copy_object"])
def test_what_says_nothing_about_one_object_refuses_none_within_ten_minutes(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round: which errors count as AWS's trouble."""
    world, errors = World(), every_error(operation)
    failing_by_key(world, operation, errors)
    queue = queue_of(world, monkeypatch)
    for number, key in enumerate(errors):
        queue.upload(key, ct(SOPInstanceUID=f"1.2.{number}"))
    queue.run(WITHIN)
    codes = {row.key: row.code for row in world.rows() if row.status == Status.REFUSED}
    assert {key for key, code in codes.items() if code == RefusalCode.OBJECT_GONE} >= {
        *("NoSuchKey 404", "NoSuchVersion 404", "MethodNotAllowed 405", "404 404", "405 405"),
    }
    assert codes["InvalidObjectState 403"] == codes["ObjectNotInActiveTierError 403"] == RefusalCode.ARCHIVED
    assert codes["InvalidRequest 400"] == RefusalCode.CUSTOMER_KEY
    assert codes[f"{UNKNOWN} 400"] == codes["InvalidArgument 400"] == codes["412 412"] == RefusalCode.INGEST_FAILED
    trouble = {"SlowDown 503", "InternalError 500", "503 503", "AccessDenied 403", "KMS.DisabledException 400"}
    trouble |= {"RequestTimeout 400", "AccountProblem 403", "TemporaryRedirect 307", f"{UNKNOWN} 500"}
    assert not trouble & set(codes)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (operation, code)
        for service in ("kms", "dynamodb")
        for operation, codes in of_the_model(service).items()
        for code in codes
    ],
)
def test_no_error_of_kms_or_the_index_loses_an_upload(
    operation: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the index is down there is no row; afterwards every message has its row, or is a dead letter."""
    world = World()
    queue = queue_of(world, monkeypatch)
    works = world.clients["s3"].interfere

    def interfere(asked: str, when: str) -> None:
        if (asked, when) == (operation, "before"):
            raise client_error(code)

    for client in world.clients.values():
        client.interfere = interfere
    queue.upload("a.dcm", ct())
    queue.run(WITHIN)
    for client in world.clients.values():
        client.interfere = works
    assert all(moves(row, world) for row in world.rows())
    assert world.rows() or operation in {"get_item", "put_item"}
    queue.run(BETWEEN_TRIES)
    (row,) = world.rows()
    assert row.status == Status.PENDING or (row.status, row.code) == (Status.REFUSED, RefusalCode.INGEST_FAILED)


def metric_of(capsys: pytest.CaptureFixture[str]) -> float:
    """Return what the functions added to UploadsNotTaken."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "UploadsNotTaken" in line]
    return sum(line["UploadsNotTaken"][0] for line in lines)


@pytest.mark.parametrize("code", [UNKNOWN, "SlowDown"])
def test_an_alarm_rings_within_ten_minutes(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    failing_by_key(world, "get_object", {"a.dcm": client_error(code)})
    queue = queue_of(world, monkeypatch)
    queue.upload("a.dcm", ct())
    queue.run(WITHIN)
    assert metric_of(capsys) >= 1


def held_up(world: World, key: str = "a.dcm") -> Any:
    """Return the event of an upload that AWS held up until its last delivery."""
    event = world.upload(key, ct())
    errors = {key: client_error("SlowDown")}
    answer: Asked = world.s3.get_object
    failing_by_key(world, "get_object", errors)
    for delivery in range(1, LAST_DELIVERY + 1):
        with pytest.raises(ClientError):
            world.ingesting.take(event, delivery=delivery)
    world.s3.get_object = answer  # type: ignore[method-assign]
    return event


def test_the_last_delivery_ends_the_row_and_leaves_the_message() -> None:
    world = World()
    row = world.row(held_up(world))
    assert (row.status, row.code) == (Status.REFUSED, RefusalCode.HELD_UP)
    assert "SlowDown" in str(row.reason)
    assert "redrive" in str(row.reason)


@pytest.mark.parametrize("delivery", [1, 2, LAST_DELIVERY])
def test_a_redriven_dead_letter_is_taken_in(delivery: int) -> None:
    world = World()
    event = held_up(world)
    assert world.ingesting.take(event, delivery=delivery).status == Status.PENDING
    assert world.row(event).code is None


def test_a_late_failure_leaves_a_row_that_has_been_taken_in() -> None:
    world = World()
    event = held_up(world)
    late = world.ingesting._held_up(event, 0, "SlowDown")
    assert world.ingesting.take(event).status == Status.PENDING
    assert world.ingesting._written(late).status == Status.PENDING


def stalled(world: World, *events: Any) -> None:
    """Fail the first try of each, after which nothing tries them again."""
    failing_by_key(world, "get_object", {event.key: client_error("SlowDown") for event in events})
    for event in events:
        with pytest.raises(ClientError):
            world.ingesting.take(event)


def test_the_sweep_ends_a_row_that_nothing_tries_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    event = world.upload("a.dcm", ct())
    stalled(world, event)
    world.wait(STALLED_SECONDS - 1)
    world.sweeping.run()
    assert world.row(event).status == Status.RECEIVED
    world.wait(1)
    world.sweeping.run()
    row = world.row(event)
    assert (row.status, row.code) == (Status.REFUSED, RefusalCode.HELD_UP)
    assert "SlowDown" in str(row.reason)
    assert world.reported[Metric.UPLOADS_NOT_TAKEN] == 1
    assert STALLED_SECONDS <= WITHIN


def test_a_row_that_the_sweep_ended_too_early_is_taken_up_by_its_next_try() -> None:
    world = World()
    event, answer = world.upload("a.dcm", ct()), world.s3.get_object
    stalled(world, event)
    world.wait(STALLED_SECONDS)
    world.sweeping.run()
    world.s3.get_object = answer  # type: ignore[method-assign]
    assert world.ingesting.take(event, delivery=3).status == Status.PENDING


def test_the_sweep_ends_no_row_that_a_try_has_moved_meanwhile() -> None:
    world = World()
    event, answer = world.upload("a.dcm", ct()), world.s3.get_object
    stalled(world, event)
    before = world.row(event)
    world.wait(STALLED_SECONDS)
    with pytest.raises(ClientError):
        world.ingesting.take(event, delivery=2)
    assert not world.index.end_stalled(before, world.sweeping.stalling._changes(before))
    assert world.row(event).status == Status.RECEIVED
    world.s3.get_object = answer  # type: ignore[method-assign]
    world.ingesting.take(event, delivery=2)
    assert not world.index.end_stalled(before, world.sweeping.stalling._changes(before))
    assert world.row(event).status == Status.PENDING


def test_many_stalled_rows_end_in_a_few_sweeps() -> None:
    world = World()
    stalled(world, *(world.upload(f"{number}.dcm", ct()) for number in range(MOST_ENDED + 5)))
    world.wait(STALLED_SECONDS)
    world.sweeping.run()
    assert sum(row.status == Status.RECEIVED for row in world.rows()) == 5
    world.sweeping.run()
    assert {row.code for row in world.rows()} == {RefusalCode.HELD_UP}


def test_a_row_that_the_sweep_ends_expires_with_its_stage_s_rows() -> None:
    world = World()
    stalling = replace(world.sweeping.stalling, kept_days=30)
    event = world.upload("a.dcm", ct())
    stalled(world, event)
    world.wait(STALLED_SECONDS)
    assert stalling.end() == 1
    assert world.row(event).expires_at == expiry(world.time, 30)


def test_a_sweep_that_cannot_end_stalled_rows_says_so_and_repairs() -> None:
    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("update_item", "before"):
            raise client_error("InternalServerError")

    world = World()
    stalled(world, world.upload("a.dcm", ct()))
    world.wait(STALLED_SECONDS)
    world.clients["dynamodb"].interfere = interfere
    assert world.sweeping.run().failures == 1
