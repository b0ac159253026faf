"""A study whose slices were read by two model versions is read again by the champion, or says that it is mixed."""

from __future__ import annotations

import pytest

from functions.domain.row import Status
from functions.domain.study import MOST_ROUNDS, State
from functions.flow import concluding
from tests.fakes.reading_room import LESION, ReadingRoom
from tests.fakes.workflow import Workflow
from tests.fakes.world import UPLOADS

FIRST, SECOND = "wetread/1", "wetread/2"


@pytest.fixture
def room() -> ReadingRoom:
    return ReadingRoom()


def mixed(room: ReadingRoom) -> None:
    """Let the first version read three slices, and the second one two."""
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.set_champion(SECOND)
    room.deliver(*(room.send(n, LESION) for n in range(3, 5)))
    room.read()


def test_a_model_promoted_in_the_middle_reads_the_whole_study(room: ReadingRoom) -> None:
    mixed(room)
    room.sweep()
    assert not room.revisions()
    assert {row.status for row in room.rows()} == {Status.PENDING, Status.COMPLETED}
    room.read()
    room.sweep(60)
    document = room.document()
    assert document["Model"]["Package"] == SECOND
    assert document["Counts"] == {"Members": 5, "Read": 5}
    assert room.study().rounds == 0


def test_a_large_study_is_read_again_in_parts(room: ReadingRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concluding, "MOST_OF_A_ROUND", 1)
    mixed(room)
    waited = []
    for _ in range(3):
        room.sweep()
        waited.append(sum(row.status == Status.PENDING for row in room.rows()))
        room.read()
    assert waited == [1, 1, 1]
    room.sweep(60)
    assert (room.document()["Model"]["Package"], room.document()["Counts"]["Read"]) == (SECOND, 5)


def test_a_late_slice_after_a_promotion_changes_the_model_of_the_next_revision(room: ReadingRoom) -> None:
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep()
    room.set_champion(SECOND)
    room.deliver(room.send(3))
    room.read()
    room.sweep()
    room.read()
    room.sweep(60)
    assert room.document()["Changes"]["ModelChanged"] == {"From": FIRST, "To": SECOND}


def test_a_study_that_cannot_be_read_again_is_mixed_and_has_no_class(room: ReadingRoom) -> None:
    mixed(room)
    for bucket, key, version in list(room.s3.versions):
        if bucket == UPLOADS:
            del room.s3.versions[bucket, key, version]
    for _ in range(MOST_ROUNDS + 1):
        room.sweep()
    document = room.document()
    assert (document["Class"], document["Code"], document["Models"]) == (None, "MixedModels", [FIRST, SECOND])
    assert room.study().state == State.CLOSED


def test_results_of_a_withdrawn_version_do_not_count_and_make_the_next_revision(room: ReadingRoom) -> None:
    room.set_champion(SECOND)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.sweep()
    assert room.document()["Class"] == "covid"
    workflow = Workflow(room)
    current = room.champions.get()
    assert current
    room.withdraw(workflow)
    room.sweep(60)
    document = room.document()
    assert (document["Revision"], document["Class"], document["Code"]) == (2, None, "Withdrawn")
    assert document["Counts"] == {"Members": 3, "Read": 0, "Withdrawn": 3}
    assert len(document["Changes"]["Withdrawn"]) == 3
    for row in list(workflow.withdrawing.results(SECOND)):
        workflow.withdrawing.rescore(row)
    room.sweep(60)
    assert len(room.revisions()) == 2, "the study waits for what is read again"
    room.read()
    room.sweep(60)
    third = room.document()
    assert (third["Revision"], third["Model"]["Package"], third["Counts"]["Read"]) == (3, FIRST, 3)


def test_marked_results_are_void_until_they_are_read_again_also_when_their_version_is_promoted_again(
    room: ReadingRoom,
) -> None:
    room.set_champion(SECOND)
    room.deliver(*(room.send(n, LESION) for n in range(3)))
    room.read()
    room.withdraw(Workflow(room))
    room.wait(1)
    room.set_champion(SECOND)
    room.sweep()
    assert room.champions.withdrawal(SECOND) is None
    assert (room.document()["Class"], room.document()["Code"]) == (None, "Withdrawn")


def test_marking_that_was_interrupted_opens_the_studies_when_it_is_repeated(room: ReadingRoom) -> None:
    room.set_champion(SECOND)
    room.deliver(*(room.send(n) for n in range(3)))
    room.read()
    room.sweep()
    workflow = Workflow(room)
    touch = room.studies.touch
    room.studies.touch = lambda *_: None  # type: ignore[method-assign]  # the function dies before it
    room.withdraw(workflow)
    room.studies.touch = touch  # type: ignore[method-assign]
    assert room.study().state == State.CLOSED
    room.marking.mark(SECOND)
    assert room.study().state == State.OPEN


def test_a_row_whose_study_was_not_opened_when_it_was_requeued_opens_it_when_it_ends(room: ReadingRoom) -> None:
    room.deliver(room.send(1))
    room.read()
    room.sweep()
    (row,) = room.rows()
    room.set_champion(SECOND)
    room.concluding.rescoring.rescore(row)  # and the function dies before it opens the study
    room.read()
    assert room.study().state == State.OPEN
    room.sweep(60)
    assert room.document()["Model"]["Package"] == SECOND
