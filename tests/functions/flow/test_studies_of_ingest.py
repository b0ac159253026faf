"""Ingest writes row, member and touch in this order; killed between any two, its study is read all the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from functions.domain.row import Row, Status
from functions.domain.study import State
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, QUIET, ReadingRoom


class Killed(BaseException):
    """The function is killed at a call."""


WRITES = ["put_item", "update_item", "transact_write_items"]


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def members(room: ReadingRoom) -> list[str]:
    return [one.upload_id for page in room.studies.members(STUDY) for one in page]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(8))
def test_killed_between_any_two_calls_the_message_comes_again_and_the_read_is_the_same(call: int, when: str) -> None:
    expected = ReadingRoom()
    expected.deliver(*(expected.send(n, LESION, key=f"{n}") for n in range(2)))
    expected.read()
    expected.sweep()
    room, calls = ReadingRoom(), [0]
    events = [room.send(n, LESION, key=f"{n}") for n in range(2)]

    def interfere(_operation: str, at: str) -> None:
        calls[0] += at == when
        if calls[0] == call + 1 and at == when:
            raise Killed

    for wire in room.clients.values():
        wire.interfere = interfere
    try:
        room.deliver(*events)
    except Killed:
        for wire in room.clients.values():
            wire.interfere = lambda *_: None
        room.deliver(*events)
    for wire in room.clients.values():
        wire.interfere = lambda *_: None
    room.read()
    room.sweep()
    ours, theirs = room.document(), expected.document()
    assert ours | {"ClosedAt": ""} == theirs | {"ClosedAt": ""}


def test_an_upload_is_a_member_before_its_study_is_touched(room: ReadingRoom) -> None:
    (row,) = [room.ingesting.take(room.send(1))]
    assert members(room) == [row.upload_id]
    assert room.studies.get(STUDY) is None
    room.ingesting.touch([row])
    assert room.study().quiet_until > room.study().opened_at


def test_the_slices_of_an_invocation_touch_their_study_once(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(10)))
    assert room.study().touches == 1


def test_a_repeated_event_of_an_erased_upload_adds_nothing(room: ReadingRoom) -> None:
    event = room.send(1)
    (row,) = room.deliver(event)
    room.studies.forget(STUDY, f"member#{row.series_instance_uid}#{row.upload_id}")
    known = room.index.get(row.upload_id)
    assert known
    assert room.index.begin_erasure(known, row.updated_at)
    room.studies.add_known(known, "index", room.time)  # a repeated delivery that read the row before
    assert members(room) == []


def test_an_upload_without_a_study_is_nobodys(room: ReadingRoom) -> None:
    (row,) = room.deliver(room.send(1, StudyInstanceUID=None))
    assert row.status == Status.REFUSED
    assert not room.dynamodb.tables["studies"]


def test_an_upload_that_is_being_tried_again_is_no_member_yet(room: ReadingRoom) -> None:
    event = room.send(1)
    room.index.put_new(
        Row(upload_id="a" * 32, status=Status.RECEIVED, updated_at="2026-11-23T00:00:00.000Z", study_instance_uid=STUDY)
    )
    room.deliver(event)
    assert "a" * 32 not in members(room)


def test_the_items_of_a_stage_that_keeps_rows_for_a_time_expire_after_them() -> None:
    room = ReadingRoom()
    room.studies._kept_days = 60
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    room.deliver(room.send(2))
    items = room.dynamodb.tables["studies"]
    (revision,) = [item for name, item in items.items() if "|revision#" in name]
    expires = {name.partition("|")[2][:7]: int(item["ExpiresAt"]["N"]) for name, item in items.items()}
    last = (room.time + timedelta(days=60)).timestamp()
    assert int(revision["ExpiresAt"]["N"]) <= last < expires["#study"]
    assert expires["member#"] > last


def test_a_study_whose_rows_have_expired_says_how_many(room: ReadingRoom) -> None:
    rows = room.deliver(*(room.send(n) for n in range(2)))
    room.read()
    del room.dynamodb.tables["index"][rows[0].upload_id]
    room.sweep(QUIET)
    assert room.document()["Counts"] == {"Members": 2, "Read": 1, "Expired": 1}
    assert room.study().state == State.CLOSED
