"""Results of a withdrawn version, over the AWS in memory: the note that rejects them, or why there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.aws.deliveries import announced
from functions.dicom_results import making
from functions.dicom_results.refused import NoResultsCode
from functions.dicom_results.stage import Kind
from functions.domain.champion import Withdrawal
from functions.domain.row import timestamp
from functions.names import REVISION_EVENTS
from tests.fakes.dicom import STUDY
from tests.fakes.workflow import Workflow
from tests.fakes.world import UPLOADS
from tests.functions.dicom_results.studies import PATIENT
from tests.functions.flow.test_delivering import Clinic, ready
from tests.functions.flow.test_picturing import HOUNSFIELD, grid

FIRST, SECOND = "wetread/1", "wetread/2"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def named_by(note: Any) -> set[str]:
    """Return the SOPInstanceUIDs that a note names."""
    items = [one.ReferencedSOPSequence[0] for one in note.ContentSequence if "ReferencedSOPSequence" in one]
    return {str(one.ReferencedSOPInstanceUID) for one in items}


def test_a_withdrawn_version_s_results_are_rejected_once(clinic: Clinic) -> None:
    clinic.take(1)
    clinic.results()
    clinic.take(2)
    clinic.results()
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    (withdrawn,) = clinic.results()
    assert withdrawn is not None
    assert withdrawn.keys.keys() == {"rejection"}
    assert (withdrawn.code, list(withdrawn.rejects)) == (NoResultsCode.NO_SCORES, [1, 2])
    stored = clinic.stored()
    note = stored.pop("000003-rejection.dcm")
    assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
    named = [one.ReferencedSOPSequence[0] for one in note.ContentSequence if "ReferencedSOPSequence" in one]
    assert {one.ReferencedSOPInstanceUID for one in named} == {one.SOPInstanceUID for one in stored.values()}
    assert note.PatientID == PATIENT["PatientID"]
    closed = clinic.revisions()[2].created_at
    assert (note.ContentDate, note.ContentTime[:6]) == (
        f"{closed[:10]}".replace("-", ""),
        closed[11:19].replace(":", ""),
    )
    clinic.take(3)
    (after,) = clinic.results()
    assert after is not None
    assert (list(after.rejects), "rejection" in after.keys) == ([], False)


def test_an_event_that_waited_until_its_version_was_withdrawn_delivers_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, not even for a moment: a receiver may look."""
    clinic.take(1)
    (late,) = clinic.announced()
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    (withdrawn,) = clinic.results()
    assert withdrawn is not None
    assert not withdrawn.rejects, "nothing was delivered yet"
    monkeypatch.delattr(making, "results_of")
    delivery = clinic.delivering.deliver(announced(late))
    assert delivery is not None
    assert (delivery.code, delivery.keys) == (NoResultsCode.WITHDRAWN, {})
    assert not clinic.stored()


def test_results_whose_version_is_withdrawn_while_they_are_made_are_taken_back(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.take(1)
    (event,) = clinic.announced()
    keep = clinic.deliveries.keep

    def withdrawn_meanwhile(*arguments: Any) -> None:
        monkeypatch.undo()
        clinic.withdraw(Workflow(clinic))
        clinic.sweep()
        clinic.results()
        keep(*arguments)

    monkeypatch.setattr(clinic.deliveries, "keep", withdrawn_meanwhile)
    delivery = clinic.delivering.deliver(announced(event))
    assert delivery is not None
    assert (delivery.code, delivery.keys) == (NoResultsCode.WITHDRAWN, {})
    assert [one.code for one in clinic.deliveries.of_study(STUDY)] == [NoResultsCode.WITHDRAWN, NoResultsCode.NO_SCORES]
    assert not clinic.stored()


def test_what_was_delivered_stays_when_its_event_comes_again_and_is_rejected_later(clinic: Clinic) -> None:
    (slice_,) = clinic.take(1)
    (event,) = clinic.announced()
    clinic.delivering.deliver(announced(event))
    before, kept = clinic.stored().keys(), clinic.deliveries.of_study(STUDY)
    object_ = clinic.s3.versions.pop((UPLOADS, slice_.key, slice_.version_id))
    clinic.delivering.deliver(announced(event))
    assert (clinic.stored().keys(), clinic.deliveries.of_study(STUDY)) == (before, kept)
    clinic.s3.versions[UPLOADS, slice_.key, slice_.version_id] = object_
    clinic.withdraw(Workflow(clinic))
    clinic.delivering.deliver(announced(event))
    assert clinic.deliveries.of_study(STUDY) == kept, "withdrawn since: the note needs it"
    clinic.sweep()
    (withdrawn,) = clinic.results()
    assert withdrawn is not None
    assert list(withdrawn.rejects) == [1]


def test_why_there_is_no_note_is_kept(clinic: Clinic) -> None:
    (slice_,) = clinic.take(1)
    clinic.results()
    del clinic.s3.versions[UPLOADS, slice_.key, slice_.version_id]
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    clinic.results()
    last = clinic.deliveries.of_study(STUDY)[-1]
    assert (last.keys, list(last.rejects), last.not_rejected) == ({}, [], NoResultsCode.HEADER_GONE)


@pytest.fixture
def recalled(clinic: Clinic) -> tuple[Clinic, list[str]]:
    """Return a study whose two delivered revisions are withdrawn by a third; and all three events."""
    for number in (1, 2):
        clinic.take(number)
        clinic.results()
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    read = [one for one in clinic.events.put if one["DetailType"] in REVISION_EVENTS]
    return clinic, [json.dumps({"detail": one["Detail"]}) for one in read]


@pytest.mark.parametrize("repeated", [0, 1, 2])
def test_an_event_that_is_repeated_after_a_rejection_changes_nothing(
    recalled: tuple[Clinic, list[str]], repeated: int
) -> None:
    clinic, events = recalled
    clinic.results()
    before, stored = clinic.deliveries.of_study(STUDY), clinic.stored()
    clinic.delivering.deliver(announced(events[repeated]))
    assert (clinic.deliveries.of_study(STUDY), clinic.stored()) == (before, stored)


def test_an_event_that_is_repeated_before_the_rejection_rejects_none_that_came_later(
    recalled: tuple[Clinic, list[str]],
) -> None:
    clinic, events = recalled
    first = clinic.delivering.deliver(announced(events[0]))
    assert first is not None
    assert not first.rejects


def test_a_rejection_note_is_announced_too(clinic: Clinic) -> None:
    clinic.take(1)
    clinic.results()
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    clinic.results()
    assert [key.rpartition("-")[2] for key in ready(clinic)[-1]["Keys"]] == ["rejection.dcm"]


def test_results_that_were_not_withdrawn_are_not_rejected(clinic: Clinic) -> None:
    clinic.take(1)
    clinic.results()
    clinic.take(2)
    (second,) = clinic.results()
    assert second is not None
    assert not second.rejects


def test_a_note_names_what_each_revision_has(clinic: Clinic) -> None:
    """The first revision has a heat picture, the second one has none."""
    clinic.take(1, grid=grid(), **HOUNSFIELD)
    clinic.results()
    clinic.take(*range(2, 6))
    clinic.results()
    clinic.withdraw(Workflow(clinic))
    clinic.sweep()
    clinic.results()
    stored = clinic.stored()
    note = stored.pop("000003-rejection.dcm")
    assert "000001-heat-1.dcm" in stored
    assert named_by(note) == {str(one.SOPInstanceUID) for one in stored.values()}


def test_a_revision_that_has_a_note_alone_is_not_rejected(clinic: Clinic) -> None:
    """The second version recalls the first one's results, has none itself, and is withdrawn, too."""
    workflow = Workflow(clinic)
    clinic.set_champion(SECOND)
    clinic.take(1)
    clinic.results()
    clinic.withdraw(workflow)
    for row in list(workflow.withdrawing.results(SECOND)):
        workflow.withdrawing.rescore(row)
    clinic.read()
    clinic.sweep()
    clinic.delivering = replace(clinic.delivering, kinds=())
    (second,) = clinic.results()
    assert second is not None
    assert second.keys.keys() == {"rejection"}
    clinic.delivering = replace(clinic.delivering, kinds=tuple(Kind))
    withdraw(clinic, workflow, FIRST)
    clinic.sweep()
    (third,) = clinic.results()
    assert third is not None
    assert (third.keys, list(third.rejects)) == ({}, [])


def test_a_late_event_rejects_no_later_revision(clinic: Clinic) -> None:
    clinic.take(1)
    (late,) = clinic.announced()
    clinic.take(2)
    clinic.results()
    clinic.withdraw(Workflow(clinic))
    first = clinic.delivering.deliver(announced(late))
    assert first is not None
    assert not first.rejects
    clinic.sweep()
    (third,) = clinic.results()
    assert third is not None
    assert list(third.rejects) == [2]


def test_each_of_two_recalls_has_its_note(clinic: Clinic) -> None:
    workflow = Workflow(clinic)
    clinic.set_champion(SECOND)
    clinic.take(1)
    for version in (SECOND, FIRST):
        clinic.results()
        withdraw(clinic, workflow, version)
        clinic.sweep()
        clinic.results()
        for row in list(workflow.withdrawing.results(version)):
            workflow.withdrawing.rescore(row)
        clinic.read()
        clinic.sweep()
    clinic.results()
    found = clinic.deliveries.of_study(STUDY)
    assert [list(one.rejects) for one in found] == [[], [1], [], [3], []]
    assert [bool(one.code) for one in found] == [False, True, False, True, False]
    read = [one["Detail"] for one in clinic.events.put if one["DetailType"] in REVISION_EVENTS]
    assert [one["Withdraws"] for one in read] == [None, 1, None, 3, None]


def withdraw(clinic: Clinic, workflow: Workflow, version: str) -> None:
    """Withdraw a version, which is the champion, for the other one; and mark its results."""
    clinic.wait(1)
    current = clinic.champions.get()
    assert current
    assert current.model_package == version
    now = timestamp(clinic.time)
    other = FIRST if version == SECOND else SECOND
    back = replace(current, model_package=other, promoted_at=now, previous="")
    withdrawal = Withdrawal(model_package=version, withdrawn_at=now, reason="")
    assert clinic.champions.move(back, current, withdrawal)
    workflow.withdrawing.mark(version)
