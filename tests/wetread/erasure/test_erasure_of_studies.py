"""An erasure takes what studies keep of the erased uploads; the others' study is read anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from functions.domain.row import Status
from tests.fakes.world import PATIENCE, RESULTS
from tests.wetread.erasure.clinic import OTHERS, THEIRS, Clinic
from wetread.erasure.subjects import Study

QUIET = PATIENCE.study_quiet_seconds


def clinic(empty: Clinic | None = None, **theirs: str) -> Clinic:
    """Return a clinic with a closed study of each of two patients."""
    clinic = empty or Clinic()
    room = clinic.world
    values = {"StudyInstanceUID": THEIRS, "PatientID": "P-1"} | theirs
    rows = [clinic.take(f"a{n}.dcm", **values) for n in range(2)]
    rows += [clinic.take(f"b{n}.dcm", StudyInstanceUID=OTHERS, PatientID="P-2") for n in range(2)]
    room.ingesting.touch(rows)
    clinic.read()
    room.wait(QUIET)
    room.concluding.run()
    return clinic


def close(clinic: Clinic) -> None:
    """Close what is open. An erasure has a person's clock, which is the real one."""
    clinic.world.time = datetime.now(UTC)
    clinic.world.wait(QUIET)
    clinic.world.concluding.run()


def documents(clinic: Clinic) -> list[str]:
    found = clinic.world.s3.objects.items()
    return [body.decode() for (bucket, key), body in found if bucket == RESULTS and key.startswith("studies/")]


@pytest.mark.parametrize("by_study", [False, True])
def test_a_study_of_the_subject_alone_goes_whole(*, by_study: bool) -> None:
    here = clinic()
    assert len(documents(here)) == 2
    marker = {
        "Schema": "complete/1",
        "StudyInstanceUID": THEIRS,
        "Series": [{"SeriesInstanceUID": "1.2.3", "NumberOfInstances": 9}],
    }
    taken = here.world.ingesting.take(here.world.upload("a.complete.json", json.dumps(marker).encode()))
    assert taken.status == Status.MARKER
    here.erase(Study(THEIRS, here.patients) if by_study else None)
    assert not list(here.world.studies.items(THEIRS))
    assert not [one for one in documents(here) if THEIRS in one]
    assert not [one for one in here.everything().values() if isinstance(one, bytes) and THEIRS.encode() in one]
    assert len(documents(here)) == 1
    assert [one.number for one in here.world.studies.revisions(OTHERS)] == [1]


def test_of_a_study_that_others_are_in_too_every_revision_goes_and_the_rest_is_read_anew() -> None:
    here = clinic(StudyInstanceUID=OTHERS)
    erased = [row.upload_id for row in here.world.rows() if row.key.startswith("a")]
    here.erase()
    assert not documents(here)
    assert not here.world.studies.revisions(OTHERS)
    close(here)
    (document,) = documents(here)
    assert json.loads(document)["Counts"] == {"Members": 2, "Read": 2}
    assert json.loads(document)["Revision"] == 2
    assert not [one for one in erased if one in document]


@pytest.mark.parametrize("shared", [False, True])
def test_a_revision_that_was_not_announced_when_it_was_erased_never_is(*, shared: bool) -> None:
    here = Clinic()
    here.world.events.refusing = "InternalFailure"
    closed = clinic(here, **({"StudyInstanceUID": OTHERS} if shared else {}))
    closed.erase()
    here.world.events.refusing = ""
    close(here)
    revisions = [one["Detail"]["Revision"] for one in here.world.events.put]
    assert revisions == ([2] if shared else [1]), "those that are left"
    (left,) = here.world.studies.revisions(OTHERS)
    assert [left.number] == revisions


def test_a_marker_of_a_study_that_never_came_is_erased_with_its_study() -> None:
    here = Clinic()
    series = [{"SeriesInstanceUID": "1.2.3", "NumberOfInstances": 9}]
    marker = {"Schema": "complete/1", "StudyInstanceUID": THEIRS, "Series": series}
    here.world.ingesting.take(here.world.upload("a.complete.json", json.dumps(marker).encode()))
    here.erase(Study(THEIRS, here.patients))
    assert not here.world.dynamodb.tables["studies"]
    assert not [one for one in here.everything().values() if isinstance(one, bytes) and THEIRS.encode() in one]


def test_an_erasure_that_changes_no_input_still_leaves_the_others_a_revision() -> None:
    """The erased upload came after the last closing: the inputs of the rest are those of the revision that went."""
    here = clinic()
    row = here.take("late.dcm", StudyInstanceUID=OTHERS, PatientID="P-1")
    here.world.ingesting.touch([row])
    here.erase()
    close(here)
    (revision,) = here.world.studies.revisions(OTHERS)
    assert revision.number == 2


def test_an_erasure_waits_for_a_closing_that_may_still_write_its_document() -> None:
    here = clinic()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    assert (here.world.studies.get(THEIRS) or pytest.fail("not known")).tried_at
    with pytest.raises(KeyboardInterrupt):
        here.erasing(settled_seconds=10**9, sleep=sleep).erase(lambda _rows: None)
    assert len(documents(here)) == 2


@pytest.mark.parametrize("writes", range(1, 12))
def test_an_interrupted_erasure_continues_with_the_same_command(writes: int) -> None:
    here = clinic(StudyInstanceUID=OTHERS)
    erased = [row.upload_id for row in here.world.rows() if row.key.startswith("a")]
    here.erase_until(writes)
    here.erase()
    left = {name for name in here.world.dynamodb.tables["studies"] if name.rpartition("#")[2] in erased}
    assert not left
    assert not documents(here)
    close(here)
    assert len(documents(here)) == 1
