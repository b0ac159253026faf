"""What happens between the reading of a study and its closing: each change is seen, or fails the closing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from functions.domain.study import State
from functions.flow import concluding
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, QUIET, ReadingRoom

OTHER = "1.2.840.99.2"


@pytest.fixture
def room() -> ReadingRoom:
    room = ReadingRoom()
    room.deliver(*(room.send(n) for n in range(2)))
    room.read()
    return room


def in_between(room: ReadingRoom, change: Callable[[], object]) -> None:
    """Close the study; ``change`` happens after its members were read, before anything is written."""
    selected, changed = room.concluding._close, [False]

    def close(*arguments: object) -> bool:
        if not changed[0]:
            changed[0] = True
            change()
        return selected(*arguments)  # type: ignore[arg-type]

    object.__setattr__(room.concluding, "_close", close)
    room.sweep()


def test_a_slice_that_comes_while_its_study_is_closed_is_in_the_next_closing(room: ReadingRoom) -> None:
    in_between(room, lambda: room.deliver(room.send(2, LESION)))
    assert not room.revisions()
    assert room.study().state == State.OPEN
    room.read()
    room.sweep()
    assert room.document()["Counts"]["Members"] == 3


def test_of_two_closings_at_once_one_makes_the_revision(room: ReadingRoom) -> None:
    in_between(room, room.concluding.run)
    assert [one.number for one in room.revisions()] == [1]
    assert room.study().revision == 1


def test_of_two_forced_closings_at_once_one_makes_the_revision(room: ReadingRoom) -> None:
    study = room.study()
    room.wait(7200)
    assert study.cut_off(room.time, room.concluding.patience)
    in_between(room, room.concluding.run)
    assert [one.number for one in room.revisions()] == [1]


def test_a_revision_is_never_written_over(room: ReadingRoom) -> None:
    room.sweep()
    before = dict(room.dynamodb.tables["studies"])
    (revision,) = room.revisions()
    room.studies.touch(STUDY, room.time)
    again = dataclasses.replace(revision, predicted_class="cap")
    assert not room.studies.close(room.study(), again, room.time)
    name = f"{STUDY}|revision#000001"
    assert room.dynamodb.tables["studies"][name] == before[name]


def test_a_closing_that_an_erasure_overtakes_makes_no_revision(room: ReadingRoom) -> None:
    in_between(room, lambda: room.studies.fence(STUDY))
    assert not room.revisions()
    room.sweep(60)
    assert room.revisions()


def test_a_study_without_members_that_gets_one_is_not_dropped() -> None:
    room = ReadingRoom()
    room.studies.arrived(STUDY, room.time, QUIET)
    in_between(room, lambda: room.deliver(room.send(1)))
    assert room.study().state == State.OPEN


def test_a_study_that_ends_the_function_is_behind_all_others_the_next_time(room: ReadingRoom) -> None:
    room.wait(1)
    room.deliver(room.send(1, study=OTHER, series=f"{OTHER}.1"))
    room.read()
    members = room.studies.members

    class Killed(BaseException):
        """The function is killed."""

    def killing(study: str) -> object:
        if study == STUDY:
            raise Killed
        return members(study)

    room.studies.members = killing  # type: ignore[method-assign,assignment]
    room.wait(QUIET)
    with pytest.raises(Killed):
        room.concluding.run()
    room.concluding.run()
    assert room.revisions(OTHER)


def test_no_study_is_begun_when_the_time_is_over_and_the_next_sweep_begins_with_it(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concluding, "AT_ONCE", 1)
    room.deliver(room.send(1, study=OTHER, series=f"{OTHER}.1"))
    room.read()
    room.wait(QUIET)
    begin = room.studies.begin

    def slow(*arguments: Any) -> bool:
        begun = begin(*arguments)
        room.wait(concluding.CONCLUDE_SECONDS + 1)
        return begun

    monkeypatch.setattr(room.studies, "begin", slow)
    assert [room.concluding.run().revisions for _ in range(2)] == [1, 1]
    assert room.revisions(STUDY)
    assert room.revisions(OTHER)


def test_a_study_that_is_not_due_is_not_read(room: ReadingRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(room.studies, "get", asked.append)
    assert room.concluding.run().failures == 0
    assert asked == []


def test_a_hint_of_a_study_that_was_erased_or_closed_meanwhile_is_no_failure(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = list(room.studies.open())
    room.sweep()
    monkeypatch.setattr(room.studies, "open", lambda *_: iter(hints))
    assert room.concluding.run().failures == 0
    for item in list(room.studies.items(STUDY)):
        room.studies.forget(STUDY, item)
    assert room.concluding.run().failures == 0
    assert not list(room.studies.items(STUDY))


def test_a_study_that_fails_keeps_no_other_open(room: ReadingRoom) -> None:
    room.deliver(room.send(1, study=OTHER, series=f"{OTHER}.1"))
    room.read()
    read = room.studies.get

    def failing(study: str) -> object:
        if study == STUDY:
            raise ValueError("this study fails each time")
        return read(study)

    room.studies.get = failing  # type: ignore[method-assign,assignment]
    room.wait(QUIET)
    concluded = room.concluding.run()
    assert concluded.failures == 1
    assert room.revisions(OTHER)


def test_the_member_of_an_erased_upload_that_was_written_too_late_is_deleted_by_a_closing(room: ReadingRoom) -> None:
    row = room.rows()[0]
    assert room.index.begin_erasure(row, row.updated_at)
    assert room.index.bury(row.upload_id, room.time)
    room.sweep()
    assert row.upload_id not in str(room.document())
    assert row.upload_id not in str(room.dynamodb.tables["studies"])


def test_a_document_of_a_closing_that_died_before_its_last_write_is_used(room: ReadingRoom) -> None:
    close = room.studies.close
    room.studies.close = lambda *_: False  # type: ignore[method-assign]
    room.sweep()
    documents = {key for _, key in room.s3.objects if key.startswith("studies/")}
    room.studies.close = close  # type: ignore[method-assign]
    room.sweep(60)
    assert {key for _, key in room.s3.objects if key.startswith("studies/")} == documents
    assert room.revisions()[0].result_key in documents
    assert room.revisions()[0].created_at == room.document()["ClosedAt"]
