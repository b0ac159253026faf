"""A rollback recalls what the version has said of studies: the next revision says so, and is announced as that."""

from __future__ import annotations

from typing import Any

import pytest

from functions.flow.marking import Marking
from functions.names import StudyEvent
from tests.fakes.reading_room import LESION, ReadingRoom
from tests.fakes.workflow import Workflow

FIRST, SECOND = "wetread/1", "wetread/2"


@pytest.fixture
def room() -> ReadingRoom:
    """A study of three slices that the second version has read, and its announcement."""
    room = ReadingRoom()
    room.set_champion(SECOND)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.sweep()
    return room


def last(room: ReadingRoom) -> dict[str, Any]:
    return room.events.put[-1]


def rescore(room: ReadingRoom, workflow: Workflow) -> None:
    for row in list(workflow.withdrawing.results(SECOND)):
        workflow.withdrawing.rescore(row)


def test_a_rollback_makes_a_revision_without_a_class_and_its_event_with_the_next_sweep(room: ReadingRoom) -> None:
    (first,) = room.revisions()
    room.withdraw(Workflow(room))
    room.sweep(1)
    document, event = room.document(), last(room)
    assert (document["Class"], document["Code"], document["Scores"]) == (None, "Withdrawn", {})
    assert document["Withdraws"] == {
        "Revision": 1,
        "ResultKey": first.result_key,
        "Package": SECOND,
        "WithdrawnAt": document["Withdraws"]["WithdrawnAt"],
    }
    assert event["DetailType"] == StudyEvent.WITHDRAWN
    detail = event["Detail"]
    assert (detail["Class"], detail["Code"], detail["Withdraws"], detail["Priority"]) == (
        None,
        "Withdrawn",
        1,
        "Routine",
    )


def test_a_study_that_is_read_again_at_once_is_recalled_and_answered_by_one_revision(room: ReadingRoom) -> None:
    workflow = Workflow(room)
    room.withdraw(workflow)
    rescore(room, workflow)
    room.read()
    room.sweep(60)
    event = last(room)
    assert event["DetailType"] == StudyEvent.WITHDRAWN
    assert (event["Detail"]["Revision"], event["Detail"]["Withdraws"], event["Detail"]["Class"]) == (2, 1, "covid")
    assert event["Detail"]["ModelPackage"] == FIRST


def test_a_study_that_is_read_again_later_is_recalled_once(room: ReadingRoom) -> None:
    workflow = Workflow(room)
    room.withdraw(workflow)
    room.sweep(60)
    rescore(room, workflow)
    room.read()
    room.sweep(60)
    event = last(room)
    assert event["DetailType"] == StudyEvent.REVISED
    assert (event["Detail"]["Revision"], event["Detail"]["Withdraws"], event["Detail"]["Class"]) == (3, None, "covid")


def test_a_late_slice_is_no_answer_for_those_that_were_withdrawn(room: ReadingRoom) -> None:
    room.withdraw(Workflow(room))
    room.deliver(room.send(3))
    room.read()
    room.sweep()
    document = room.document()
    assert (document["Class"], document["Code"], document["Scores"]) == (None, "Withdrawn", {})
    assert document["Counts"] == {"Members": 4, "Read": 1, "Withdrawn": 3}


def test_a_study_of_another_version_is_not_recalled() -> None:
    room = ReadingRoom()
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    room.set_champion(SECOND)
    room.withdraw(Workflow(room))
    room.sweep(60)
    assert [event["DetailType"] for event in room.events.put] == [StudyEvent.READ]


def test_a_study_that_was_withdrawn_before_it_was_closed_has_nothing_to_recall() -> None:
    room = ReadingRoom()
    room.set_champion(SECOND)
    room.deliver(room.send(1))
    room.read()
    room.withdraw(Workflow(room))
    room.sweep()
    event = last(room)
    assert (event["DetailType"], event["Detail"]["Code"]) == (StudyEvent.READ, "Withdrawn")


def test_a_study_that_is_closed_while_a_rollback_marks_its_results_never_has_the_withdrawn_class() -> None:
    room = ReadingRoom()
    room.set_champion(SECOND)
    workflow = Workflow(room)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    mark = workflow.withdrawing.mark
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Marking, "mark", lambda *_: 0)  # the rollback is cut off after it has moved the pointer
        room.withdraw(workflow)
    room.sweep()
    assert [event["Detail"]["Code"] for event in room.events.put] == ["Withdrawn"]
    assert mark(SECOND) == 3
    room.sweep(60)
    assert len(room.revisions()) == 1, "the rows say now what was known before"
