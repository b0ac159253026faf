"""Objects that were refused before anything was read of them, or that wait to be read, are erased too."""

from __future__ import annotations

import pytest

from functions.aws.keys import Keys
from functions.domain.row import Status
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import UPLOADS, World
from tests.wetread.erasure.clinic import (
    CUT,
    OTHERS,
    REPORT,
    THEIRS,
    Clinic,
    old_refused,
    subject_of,
    traces,
)

LARGE = ct(PatientID="P-1", StudyInstanceUID=THEIRS) + bytes(17 * 1024**2)


@pytest.mark.parametrize("by_study", [False, True])
@pytest.mark.parametrize("body", [LARGE, REPORT, CUT], ids=["too large", "a report", "cut"])
def test_refused_objects_are_erased_even_if_their_rows_name_no_patient(*, body: bytes, by_study: bool) -> None:
    clinic = Clinic()
    old_refused(clinic, "theirs.dcm", body)
    old_refused(clinic, "other.dcm", ct(PatientID="P-2", StudyInstanceUID=OTHERS, PixelData=None))
    erased = clinic.erase(subject_of(clinic, by_study=by_study))
    assert erased.whole
    assert [row.key for row in clinic.world.rows() if row.key] == ["other.dcm"]
    assert not [key for _, key, _ in clinic.world.s3.versions if key == "theirs.dcm"]


@pytest.mark.parametrize("by_study", [False, True])
def test_an_upload_that_waits_for_ingest_is_erased_at_once(*, by_study: bool) -> None:
    clinic = Clinic()
    body = ct(PatientID="P-1", StudyInstanceUID=THEIRS)
    event = clinic.world.upload("theirs.dcm", body)
    clinic.world.index.put_new(clinic.world.ingesting._received(event, 1, "ThrottlingException"))
    erasing = clinic.erasing(subject_of(clinic, by_study=by_study), settled_seconds=600)
    assert erasing.erase(lambda _rows: pytest.fail("no job reads it")).counts["rows"] == 1
    assert clinic.world.ingesting.take(event).status == Status.ERASED
    assert traces(clinic, "P-1") == []


@pytest.mark.parametrize("by_study", [False, True])
@pytest.mark.parametrize("calls", range(1, 8))
def test_the_next_erasure_finds_a_row_after_its_object_is_gone(*, by_study: bool, calls: int) -> None:
    clinic = Clinic()
    old_refused(clinic, "theirs.dcm", REPORT)
    clinic.erase_until(calls, subject_of(clinic, by_study=by_study))
    clinic.erase(subject_of(clinic, by_study=by_study))
    assert [row.key for row in clinic.world.rows() if row.key] == []


@pytest.mark.parametrize("by_study", [False, True])
@pytest.mark.parametrize("code", ["InvalidObjectState", "InvalidRequest", "AccessDenied", "KMS.DisabledException"])
def test_an_object_that_s3_does_not_give_is_named_and_stops_nothing(*, by_study: bool, code: str) -> None:
    clinic = Clinic()
    clinic.take("read.dcm", PatientID="P-1", StudyInstanceUID=THEIRS)
    old_refused(clinic, "frozen.dcm", REPORT)
    clinic.workflow.put("frozen.dcm", REPORT)

    def reading(key: str) -> None:
        if key.endswith("frozen.dcm"):
            raise client_error(code, "not for you")

    clinic.world.s3.reading = reading
    erased = clinic.erase(subject_of(clinic, by_study=by_study))
    assert erased.undecided == {"frozen.dcm", "cohorts/c/frozen.dcm"}
    assert not erased.whole
    assert erased.counts["rows"] == 1


def test_objects_that_end_before_their_patient_are_named() -> None:
    clinic = Clinic()
    start = REPORT[: REPORT.index(b"P-1")]
    old_refused(clinic, "short.dcm", start)
    clinic.workflow.put("short.dcm", start)
    assert clinic.erase().undecided == {"short.dcm", "cohorts/c/short.dcm"}


def test_files_that_are_not_dicom_and_objects_that_are_gone_belong_to_no_subject() -> None:
    clinic = Clinic()
    old_refused(clinic, "notes.txt", b"no DICOM at all")
    old_refused(clinic, "empty.dcm", b"")
    old_refused(clinic, "gone.dcm", REPORT)
    clinic.world.s3._delete((UPLOADS, "gone.dcm"), "v1")
    clinic.workflow.put("folder/", b"")
    clinic.workflow.put("README.txt", b"about the cohort")
    assert clinic.erase().whole


def test_a_refused_object_with_a_hidden_key_is_found() -> None:
    world = World()
    object.__setattr__(world.ingesting, "keys", Keys(world.clients["dynamodb"], "keys", world.ingesting.patients))
    clinic = Clinic(world)
    old_refused(clinic, "Doe^Jane/1.dcm", REPORT)
    old_refused(clinic, "Roe/1.dcm", ct(PatientID="P-2", PixelData=None))
    assert clinic.erase().counts["hidden keys"] == 1
    assert traces(clinic, "Doe") == []
