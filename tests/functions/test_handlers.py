"""The handlers translate: events in, partial batch responses out, and a tick after every write."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from functions import collect, dispatch, ingest, sweep
from functions.domain.errors import MalformedEvent
from functions.domain.row import Status
from functions.names import Metric
from tests.fakes.dicom import ct
from tests.fakes.reading_room import QUIET, ReadingRoom
from tests.fakes.world import UPLOADS, World, answer


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(ingest, "_parts", lambda: (world.ingesting, world.ticks))
    monkeypatch.setattr(collect, "_parts", lambda: (world.collecting, world.ticks))
    monkeypatch.setattr(dispatch, "_dispatching", lambda: world.dispatching)
    monkeypatch.setattr(sweep, "_sweeping", lambda: world.sweeping)
    monkeypatch.setattr("functions.wiring.now", world.clock)
    return world


def message(body: Any, message_id: str = "m") -> dict[str, Any]:
    return {"messageId": message_id, "body": json.dumps(body)}


def created(world: World, key: str, body: bytes) -> dict[str, Any]:
    event = world.upload(key, body)
    detail = {
        "bucket": {"name": UPLOADS},
        "object": {"key": key, "size": event.size, "version-id": event.version_id, "sequencer": "01"},
    }
    return {"time": "2026-11-23T00:00:00Z", "detail-type": "Object Created", "detail": detail}


def test_one_object_goes_from_event_to_result(world: World) -> None:
    world.set_champion()
    response = ingest.handler({"Records": [message(created(world, "a+b c.dcm", ct()))]}, None)
    assert response == {"batchItemFailures": []}
    assert len(world.queue.sent) == 1
    dispatch.handler({"Records": [message("1")]}, SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000))
    (name,) = world.sagemaker.jobs
    world.sagemaker.end(name, answer)
    world.wait(60)
    collect.handler({"Records": [message({"detail": {"TransformJobName": name}})]}, None)
    (row,) = world.rows()
    assert (row.key, row.status) == ("a+b c.dcm", Status.COMPLETED)
    assert len(world.queue.sent) == 2
    sweep.handler({}, None)


def test_a_malformed_message_fails_alone(world: World) -> None:
    good = message(created(world, "a.dcm", ct()), "good")
    response = ingest.handler({"Records": [message({"detail": {}}, "bad"), good]}, None)
    assert response == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert len(world.rows()) == 1


@pytest.mark.parametrize("key", ["ward/", "Ward A/2026/", "/", "ward_$folder$"])
def test_a_folder_of_the_console_is_no_upload(world: World, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest.handler({"Records": [message(created(world, key, b""))]}, None) == {"batchItemFailures": []}
    assert world.rows() == []
    (measured,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "UploadsRefused" in line]
    assert measured["UploadsRefused"] == measured["UploadsAccepted"] == [0]


@pytest.mark.parametrize(("key", "body"), [("ward/", b"1"), ("empty.dcm", b""), ("ward", b""), (".DS_Store", b"Bud1")])
def test_any_other_object_that_is_no_image_has_a_row(world: World, key: str, body: bytes) -> None:
    ingest.handler({"Records": [message(created(world, key, body))]}, None)
    assert [row.status for row in world.rows()] == [Status.REFUSED]


def test_refusals_do_not_wake_dispatch(world: World) -> None:
    ingest.handler({"Records": [message(created(world, "a.txt", b"text"))]}, None)
    assert world.queue.sent == []


def test_a_repeated_event_wakes_dispatch_again_in_case_the_first_tick_was_never_sent(world: World) -> None:
    event = {"Records": [message(created(world, "a.dcm", ct()))]}
    ingest.handler(event, None)
    world.wait(60)
    ingest.handler(event, None)
    assert len(world.queue.sent) == 2


def test_logs_name_no_key_and_no_patient(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ingest.handler({"Records": [message(created(world, "DOE^JOHN.dcm", ct(PatientID="DOE-1")))]}, None)
    ingest.handler({"Records": [message(created(world, "DOE^JANE.dcm", b"DOE"))]}, None)
    logged = str([vars(record) for record in caplog.records])
    assert "upload taken" in logged
    assert "DOE" not in logged
    taken = [vars(record) for record in caplog.records if record.message == "upload taken"]
    digests = {row.upload_id: (row.content_sha256 or "")[:12] for row in world.rows()}
    assert {one["upload_id"]: one.get("content_sha256", "") for one in taken} == digests
    assert sorted(map(len, digests.values())) == [0, 12], "a refused object is not copied, so S3 computed no digest"


def test_what_the_sweep_measures_is_written_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    sweep._report({Metric.MODEL_MISSING: 1.0})
    sweep._report({Metric.PENDING: 2.0})
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["ModelMissing"] == [1.0]
    assert second["Pending"] == [2.0]
    assert "ModelMissing" not in second


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> ReadingRoom:
    """Return a room with twelve studies that are due, and a sweep that closes them in four invocations."""
    monkeypatch.setattr("functions.flow.sharing.DUE_EACH", 3)
    room = ReadingRoom()
    monkeypatch.setattr(sweep, "_sweeping", lambda: room.sweeping)
    room.deliver(*(room.send(1, study=f"1.2.{number}", series=f"1.2.{number}.1") for number in range(12)))
    room.read()
    room.wait(QUIET)
    return room


def test_the_sweep_takes_its_own_orders_and_a_share_is_never_shared_again(room: ReadingRoom) -> None:
    sweep.handler({}, None)
    orders = room.functions.shares.copy()
    assert len(orders) == 3
    for order in orders:
        sweep.handler(order, None)
    assert room.functions.shares == orders
    assert all(room.revisions(f"1.2.{number}") for number in range(12))


def test_an_order_does_nothing_but_close(room: ReadingRoom, capsys: pytest.CaptureFixture[str]) -> None:
    room.deliver(room.send(1, study="1.3", series="1.3.1"))
    sweep.handler({"Shards": [0]}, None)
    assert not room.sagemaker.live()
    assert "StudiesRead" in capsys.readouterr().out


def test_an_order_whose_studies_fail_fails_and_raises_the_alarm(room: ReadingRoom) -> None:
    room.clients["s3"].interfere = lambda operation, _when: _raise(ValueError(operation))
    with pytest.raises(RuntimeError, match="12 studies were not closed"):
        sweep.handler({"Shards": list(range(16))}, None)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("shards", ["0", [16], [-1], [True], [0.5], None, {}])
def test_an_order_that_the_sweep_has_not_made_is_refused_by_name(room: ReadingRoom, shards: object) -> None:
    with pytest.raises(MalformedEvent, match="Shards"):
        sweep.handler({"Shards": shards}, None)
