"""The events of revisions: each is published at least once, and is the same each time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.aws.bus import MOST_ENTRIES
from functions.domain.study_event import StudyEventType
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, ReadingRoom
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def closed(room: ReadingRoom, *numbers: int, **attributes: Any) -> None:
    """Send slices with a lesion, and close their study."""
    room.deliver(*(room.send(n, LESION, **attributes) for n in numbers))
    room.read()
    room.sweep()


def waiting(room: ReadingRoom) -> list[str]:
    return [one.item for one in room.studies.unannounced()]


def test_a_revision_is_announced_with_its_answer_and_where_its_document_is(room: ReadingRoom) -> None:
    closed(room, 1, 2)
    assert room.announcing.run().published == 1
    (event,) = room.bus.events
    (revision,), document = room.revisions(), room.document()
    assert (event["Source"], event["DetailType"]) == ("wetread", StudyEventType.READ)
    assert event["Detail"] == {
        "EventId": event["Detail"]["EventId"],
        "StudyInstanceUID": STUDY,
        "Revision": 1,
        "Previous": None,
        "ClosedAt": revision.created_at,
        "CloseReason": "Quiet",
        "Coverage": "Unknown",
        "Class": "covid",
        "Code": None,
        "Scores": document["Scores"],
        "Cautions": ["FewSlices", "AggregatorNotFitted"],
        "Counts": {"Members": 2, "Read": 2},
        "Model": document["Model"],
        "Withdraws": None,
        "Priority": "Urgent",
        "Result": f"s3://{RESULTS}/{revision.result_key}",
    }
    assert not waiting(room)


def test_an_announced_revision_is_not_announced_again(room: ReadingRoom) -> None:
    closed(room, 1)
    room.announcing.run()
    room.announcing.run()
    assert len(room.bus.events) == 1


def test_each_revision_is_announced_also_if_the_next_one_was_made_before(room: ReadingRoom) -> None:
    closed(room, 1)
    closed(room, 2)
    room.announcing.run()
    kinds = [
        (event["DetailType"], event["Detail"]["Revision"], event["Detail"]["Previous"]) for event in room.bus.events
    ]
    assert kinds == [(StudyEventType.READ, 1, None), (StudyEventType.REVISED, 2, 1)]


def test_a_function_that_dies_after_the_event_sends_the_same_event_again(room: ReadingRoom) -> None:
    closed(room, 1)

    class Killed(BaseException):
        """The function is killed."""

    def die(operation: str, when: str) -> None:
        if (operation, when) == ("put_events", "after"):
            raise Killed

    room.clients["events"].interfere = die
    with pytest.raises(Killed):
        room.announcing.run()
    room.clients["events"].interfere = lambda *_: None
    room.announcing.run()
    first, second = room.bus.events
    assert first == second


def test_an_event_that_the_bus_refuses_waits_and_keeps_no_other(room: ReadingRoom) -> None:
    closed(room, 1)
    closed(room, 1, study="1.2.840.99.2", series="1.2.840.99.2.1")
    room.bus.refuses = lambda entry: json.loads(entry["Detail"])["StudyInstanceUID"] == STUDY
    announced = room.announcing.run()
    assert (announced.published, announced.failures) == (1, 1)
    room.bus.refuses = lambda _: False
    assert room.announcing.run().published == 1
    assert {event["Detail"]["StudyInstanceUID"] for event in room.bus.events} == {STUDY, "1.2.840.99.2"}


def test_a_bus_that_does_not_answer_fails_the_sweep_and_loses_nothing(room: ReadingRoom) -> None:
    closed(room, 1)

    def throttle(operation: str, when: str) -> None:
        if operation == "put_events":
            raise client_error("ThrottlingException")

    room.clients["events"].interfere = throttle
    assert room.sweeping.run().failures == 1
    room.clients["events"].interfere = lambda *_: None
    assert room.sweeping.run().failures == 0
    assert len(room.bus.events) == 1


def test_more_events_than_one_request_takes_are_all_published(room: ReadingRoom) -> None:
    studies = [f"1.2.840.99.{n}" for n in range(MOST_ENTRIES + 3)]
    room.deliver(*(room.send(1, study=study, series=f"{study}.1") for study in studies))
    room.read()
    room.sweep()
    room.announcing.run()
    assert {event["Detail"]["StudyInstanceUID"] for event in room.bus.events} == set(studies)


def test_a_closing_that_fails_announces_nothing(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    close = room.concluding._close

    def overtaken(*arguments: object) -> bool:
        room.deliver(room.send(2))
        return close(*arguments)  # type: ignore[arg-type]

    object.__setattr__(room.concluding, "_close", overtaken)
    room.sweep()
    room.announcing.run()
    assert not room.bus.events


def test_a_class_that_can_wait_is_routine(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    room.announcing.run()
    assert (room.bus.events[0]["Detail"]["Class"], room.bus.events[0]["Detail"]["Priority"]) == ("normal", "Routine")
