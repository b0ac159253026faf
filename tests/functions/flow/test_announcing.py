"""Each revision is announced at least once, in order, after it was written, and without a UID."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from functions.domain.errors import NotAnnounced
from functions.domain.study import CloseReason, Revision, State
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, SERIES, ReadingRoom
from tests.fakes.workflow import Workflow
from tests.fakes.world import RESULTS


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def announced(room: ReadingRoom) -> list[tuple[str, int]]:
    return [(one["DetailType"], one["Detail"]["Revision"]) for one in room.events.put]


def closed(room: ReadingRoom, *numbers: int) -> None:
    room.deliver(*(room.send(n, LESION) for n in numbers))
    room.read()
    room.sweep()


def test_a_study_read_is_announced_with_what_leads_to_its_document(room: ReadingRoom) -> None:
    closed(room, 1, 2)
    (event,) = room.events.put
    detail = event["Detail"]
    assert (event["Source"], event["DetailType"]) == ("wetread", "Study Read")
    assert (detail["Class"], detail["Revision"], detail["Service"]) == ("covid", 1, "wetread")
    assert (RESULTS, detail["ResultKey"]) in room.s3.objects
    assert (detail["ResultsBucket"], detail["Priority"], detail["Withdraws"]) == (RESULTS, "Urgent", None)
    assert not [uid for uid in (STUDY, SERIES) if uid in str(event)]
    assert not list(room.studies.unannounced())


def test_a_class_that_can_wait_is_routine(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    (event,) = room.events.put
    assert (event["Detail"]["Class"], event["Detail"]["Priority"]) == ("normal", "Routine")


def test_a_late_slice_is_a_revised_read(room: ReadingRoom) -> None:
    closed(room, 1)
    closed(room, 2)
    assert announced(room) == [("Study Read", 1), ("Study Read Revised", 2)]
    assert len({one["Detail"]["Id"] for one in room.events.put}) == 2


def test_a_read_whose_answers_are_withdrawn_is_announced_as_withdrawn(room: ReadingRoom) -> None:
    room.set_champion("wetread/2")
    closed(room, 1)
    room.withdraw(Workflow(room))
    room.sweep(60)
    assert announced(room)[-1] == ("Study Read Withdrawn", 2)


def test_what_eventbridge_does_not_take_is_announced_later_and_the_study_is_closed(room: ReadingRoom) -> None:
    room.events.refusing = "ThrottlingException"
    room.deliver(room.send(1))
    room.read()
    room.wait(300)
    assert room.concluding.run().failures == 1
    assert room.study().state == State.CLOSED
    room.events.refusing = ""
    room.sweep(60)
    assert announced(room) == [("Study Read", 1)]
    room.sweep(60)
    assert len(room.events.put) == 1


def test_a_revision_of_a_study_that_was_opened_again_before_it_was_announced_is_not_skipped(room: ReadingRoom) -> None:
    room.events.refusing = "InternalFailure"
    room.deliver(room.send(1))
    room.read()
    room.wait(300)
    room.concluding.run()
    room.events.refusing = ""
    closed(room, 2)
    assert announced(room) == [("Study Read", 1), ("Study Read Revised", 2)]
    room.sweep(60)
    assert len(room.events.put) == 2


def test_a_study_that_is_closed_without_a_revision_is_announced_if_it_was_not(room: ReadingRoom) -> None:
    event = room.send(1)
    room.deliver(event)
    room.read()
    room.concluding.announcing.announcements.send = lambda _revisions: None  # type: ignore[method-assign]
    room.studies.note_announced = lambda _study: None  # type: ignore[method-assign]
    room.sweep()  # and the function dies before it has announced
    del room.concluding.announcing.announcements.send, room.studies.note_announced
    room.deliver(event)
    room.sweep()
    assert announced(room) == [("Study Read", 1)]


def test_each_revision_of_a_study_that_stays_open_is_announced(room: ReadingRoom) -> None:
    for n in range(160):
        room.deliver(room.send(n))
        room.read()
        room.sweep(100)
    numbers = [one.number for one in room.revisions()]
    assert len(numbers) >= 2
    assert [number for _, number in announced(room)] == numbers


def test_an_erased_study_is_not_written_again_when_its_event_was_sent(room: ReadingRoom) -> None:
    closed(room, 1)
    study = room.study()
    for item in list(room.studies.items(STUDY)):
        room.studies.forget(STUDY, item)
    room.studies.note_announced(study)
    assert not room.dynamodb.tables["studies"]


def test_a_revision_that_is_made_while_an_earlier_one_is_announced_is_announced_next(room: ReadingRoom) -> None:
    room.events.refusing = "InternalFailure"
    room.deliver(room.send(1))
    room.read()
    room.wait(300)
    room.concluding.run()
    first = room.study()
    room.deliver(room.send(2))
    room.read()
    room.wait(300)
    room.concluding.run()
    room.studies.note_announced(first)  # another sweep has announced the first one, and is late
    room.events.refusing = ""
    room.sweep(60)
    assert announced(room) == [("Study Read Revised", 2)]


def test_what_eventbridge_takes_of_two_revisions_is_never_the_later_one_alone(room: ReadingRoom) -> None:
    closed(room, 1)
    closed(room, 2)
    put_events, put = room.events.put_events, room.events.put
    put.clear()
    first_time = [True]

    def all_but_the_first(**request: Any) -> Any:
        entries = request["Entries"]
        if not first_time:
            return put_events(**request)
        first_time.clear()
        put_events(Entries=entries[1:])
        taken = [{"EventId": "1"} for _ in entries[1:]]
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}, *taken]}

    room.events.put_events = all_but_the_first  # type: ignore[method-assign]
    announcements = room.concluding.announcing.announcements
    with pytest.raises(NotAnnounced, match="InternalFailure"):
        announcements.send(room.revisions())
    announcements.send(room.revisions())
    assert [number for _, number in announced(room)] == [1, 2]


def test_an_eventbridge_that_does_not_answer_keeps_no_study_open(room: ReadingRoom) -> None:
    room.events.refusing = "InternalFailure"
    for n in range(8):
        room.deliver(room.send(1, study=f"{STUDY}.{n}"))
    room.read()
    room.wait(300)
    room.concluding.run()
    room.deliver(room.send(1))
    room.read()
    room.wait(300)

    def silent(**_request: Any) -> Any:
        room.wait(15)
        raise ConnectTimeoutError(endpoint_url="events")

    room.events.put_events = silent  # type: ignore[method-assign]
    began = room.time
    room.concluding.run()
    assert room.study().state == State.CLOSED
    assert (room.time - began).total_seconds() <= 60


def test_the_longest_event_is_one_that_eventbridge_takes() -> None:
    """A class may have 64 letters of any script; keys, names and codes are bounded."""
    room = ReadingRoom()
    letters = 64
    revision = Revision(
        study_instance_uid=f"{STUDY[:-1]}{'7' * 60}"[:64],
        number=999_999,
        created_at="2026-11-23T00:00:00.000Z",
        close_reason=CloseReason.MARKER,
        coverage="Complete",
        code="TooManyMembers",
        model_package=f"arn:aws:sagemaker:eu-central-1:111111111111:model-package/{'m' * 63}/999999",
        predicted_class="𠀀" * letters,
        scores={f"{n:04d}": 1.0 for n in range(1000)},
        counts={"Members": 20_000},
        inputs="f" * 40,
        result_key="k" * 1024,
        fhir_key="k" * 1024,
        withdraws=999_998,
    )
    entry = room.concluding.announcing.announcements._entry(revision)
    assert sum(len(value.encode()) for value in entry.values()) < 256 * 1024
