"""One of two patients is erased, wherever they are: nothing of the one is left, and all of the other is as it was."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from functions.aws.keys import Keys
from functions.aws.patients import Patients
from functions.domain import instance, layout
from functions.domain.lane import END_SECONDS, RUN_SECONDS
from functions.domain.row import Row, Status
from functions.names import OUTPUTS
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, UPLOADS, WEIGHTS_SHA256, WORK, World, answer, express_limits
from tests.simulation.express import Environments
from tests.wetread.erasure.clinic import (
    ARN,
    OTHERS,
    THEIRS,
    Clinic,
    old_refused,
    old_row,
    put_cohort_of_both,
    traces,
    two_patients,
)
from wetread.erasure.subjects import Patient, Study
from wetread.erasure.uploads import FRESH_SECONDS, is_free


@pytest.mark.parametrize("by_study", [False, True])
def test_nothing_of_the_one_is_left_and_all_of_the_other_is_as_it_was(*, by_study: bool) -> None:
    clinic = two_patients()
    theirs = {row.upload_id for row in clinic.world.rows() if row.study_instance_uid == THEIRS}
    contents = {row.content_sha256 for row in clinic.world.rows() if row.upload_id in theirs and row.content_sha256}
    others = {
        where: what
        for where, what in clinic.everything().items()
        if "P-2" in repr((where, what)) or OTHERS in repr((where, what)) or "of-P-2" in repr(where)
    }
    clinic.erase(Study(THEIRS, clinic.patients) if by_study else None)
    assert traces(clinic, "P-1", THEIRS, *contents) == []
    assert {where: clinic.everything().get(where) for where in others} == others
    stones = [row for row in clinic.world.rows() if row.upload_id in theirs]
    assert {row.status for row in stones} == {Status.ERASED}
    kept = {name for row in stones for name, value in row.to_json().items() if value != 0}
    assert kept == {"UploadId", "Status", "UpdatedAt", "ExpiresAt"}
    assert clinic.world.s3.parts == [(UPLOADS, "P-2/read.dcm", "part-2")]
    assert clinic.world.s3.markers == {(UPLOADS, "shared.dcm", "m2")}, "it hides what is another's"
    assert not [key for _, key in clinic.world.s3.objects if any(one in key for one in theirs)]


def test_finding_changes_nothing_and_counts_each_kind() -> None:
    clinic = two_patients()
    before = clinic.everything()
    counts = clinic.erasing().find().counts()
    assert clinic.everything() == before
    assert counts == {
        "upload versions": 5,
        "delete markers": 1,
        "unfinished multipart uploads": 1,
        "pinned copies": 1,
        "result documents": 3,
        "rows": 5,
        "items of studies": 5,
    }


def test_a_result_that_its_row_names_is_counted_once_whatever_models_there_are() -> None:
    clinic = two_patients()
    erasing = clinic.erasing()
    erasing._uploads._weights = {"wetread/1": WEIGHTS_SHA256, "wetread/0": "ab" * 32}
    assert erasing.find().counts()["result documents"] == 3
    assert erasing.erase(lambda _: None).counts["result documents"] == 3
    assert clinic.record()["Counts"]["M"]["result documents"] == {"N": "3"}


def test_the_record_has_the_eraser_the_counts_and_only_the_hash_of_the_subject() -> None:
    clinic = two_patients()
    clinic.erase()
    record = clinic.record()
    assert record["ErasedBy"]["S"] == ARN
    assert record["FinishedAt"]["S"]
    assert record["SubjectHash"]["S"] == clinic.patients.hash_of("P-1")
    assert record["Counts"]["M"]["rows"] == {"N": "5"}
    assert "P-1" not in repr(record)


def test_a_row_that_a_batch_took_meanwhile_is_left_to_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = Clinic()
    clinic.take("P-1/a.dcm", PatientID="P-1")
    clinic.world.wait(300)
    begin = clinic.world.index.begin_erasure
    jobs: list[str] = []

    def overtaken(row: Row, now: str) -> bool:
        jobs.extend([] if jobs else clinic.world.dispatching.run())
        return begin(row, now)

    monkeypatch.setattr(clinic.world.index, "begin_erasure", overtaken)
    erasing = clinic.erasing()
    uploads = erasing._uploads
    assert not uploads.begin(uploads.find(), clinic.world.time)
    assert not uploads.begin(uploads.find(), clinic.world.time), "nor when it is seen as the batch's"
    clinic.world.sagemaker.end(jobs[0], answer)


@pytest.mark.parametrize("calls", range(1, 60, 4))
def test_an_interrupted_erasure_is_finished_by_the_next(calls: int) -> None:
    clinic = two_patients()
    put_cohort_of_both(clinic)
    left = [calls]

    def interfere(operation: str, when: str) -> None:
        if when == "after" and operation.startswith(("delete", "put", "update", "abort")):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

    for wire in clinic.world.clients.values():
        wire.interfere = interfere
    try:
        clinic.erase()
    except KeyboardInterrupt:
        for wire in clinic.world.clients.values():
            wire.interfere = lambda *_: None
        clinic.erase()
    assert traces(clinic, "P-1", THEIRS) == []
    assert clinic.erasing().find().counts() == {}
    assert [row for row in clinic.world.rows() if row.study_instance_uid == OTHERS]


def test_an_event_that_comes_again_after_the_erasure_finds_the_gravestone() -> None:
    clinic = Clinic()
    event = clinic.world.upload("P-1.dcm", ct(PatientID="P-1"))
    clinic.world.ingesting.take(event)
    clinic.erase()
    assert clinic.world.ingesting.take(event).status == Status.ERASED
    assert traces(clinic, "P-1") == []


def test_an_object_that_ingest_reads_while_it_is_erased_leaves_no_copy() -> None:
    clinic = Clinic()
    event = clinic.world.upload("P-1.dcm", ct(PatientID="P-1"))
    put_new = clinic.world.index.put_new

    def overtaken(row: Row) -> bool:
        object.__setattr__(clinic.world.ingesting.index, "put_new", put_new)
        clinic.world.ingesting.take(event)
        clinic.erase()
        clinic.world.s3.objects[WORK, layout.instance_key(row.instance_name)] = b"the copy that came late"
        return put_new(row)

    clinic.world.ingesting.index.put_new = overtaken  # type: ignore[method-assign]
    clinic.world.ingesting.take(event)
    assert not [key for bucket, key in clinic.world.s3.objects if bucket == WORK]


def test_uploads_that_a_job_reads_are_erased_after_the_job() -> None:
    clinic = Clinic()
    clinic.take("P-1/a.dcm", PatientID="P-1")
    clinic.take("P-2/b.dcm", PatientID="P-2")
    clinic.world.wait(300)
    (name,) = clinic.world.dispatching.run()
    copies = [key for bucket, key in clinic.world.s3.objects if bucket == WORK and "instances" in key]
    waited: list[int] = []

    def sleep(_seconds: float) -> None:
        assert [key for _, key in clinic.world.s3.objects if "instances" in key] == copies, "the job needs them"
        clinic.world.sagemaker.end(name, answer)
        clinic.world.collecting.collect(name)

    clinic.erasing(sleep=sleep).erase(lambda rows: waited.append(len(rows)))
    assert waited == [1]
    assert traces(clinic, "P-1") == []
    assert [row.status for row in clinic.world.rows() if row.key] == [Status.COMPLETED]


def test_an_upload_that_a_run_left_is_waited_for_as_long_as_a_run_may_still_write_its_output() -> None:
    """Lambda may deliver an event twice under one id: when it gives one of the two up, the other may be reading."""
    clinic = Clinic(World(express=express_limits()))
    world = clinic.world
    upload = clinic.take("P-1/a.dcm", PatientID="P-1").upload_id
    (name,) = world.dispatching.run()
    invoked = world.time

    def left_and_not_free() -> None:
        world.collecting.collect(name, "request-0")
        for seconds in (0, FRESH_SECONDS, RUN_SECONDS - 1):
            world.time = invoked + timedelta(seconds=seconds)
            row = world.index.get(upload)
            assert row
            assert (row.status, is_free(row, world.time)) == (Status.PENDING, False)

    def late(body: bytes) -> bytes:
        left_and_not_free()
        return answer(body)

    Environments(world).invoke(world.functions.waiting[0], late)
    assert [key for _, key in world.s3.objects if key.startswith(OUTPUTS)]
    world.time = invoked + timedelta(seconds=RUN_SECONDS + END_SECONDS)
    assert is_free(world.rows()[0], world.time)


def test_the_results_of_every_model_version_are_erased_even_if_the_row_does_not_name_it() -> None:
    clinic = Clinic()
    row = clinic.take("P-1/a.dcm", PatientID="P-1")
    clinic.read()
    promoted = clinic.workflow.registry.register
    assert promoted
    again = layout.prediction_key(layout.prediction_id(row.content_sha256 or "", "wetread/1", "cd" * 32))
    earlier = layout.prediction_key(layout.prediction_id(row.content_sha256 or "", "wetread/0", "ab" * 32))
    clinic.world.s3.objects[RESULTS, earlier] = json.dumps({"ContentSHA256": row.content_sha256}).encode()
    erasing = clinic.erasing()
    erasing._uploads._weights = {"wetread/0": "ab" * 32}
    erasing.erase(lambda _: None)
    assert (RESULTS, again) not in clinic.world.s3.objects
    assert (RESULTS, earlier) not in clinic.world.s3.objects


def lose(clinic: Clinic, key: str, body: bytes) -> None:
    """Upload an object with an event that ends as a dead letter."""
    clinic.world.upload(key, body)
    detail = {"key": key, "version-id": "v1", "size": len(body)}
    event = {"time": "2026-11-23T00:00:00Z", "detail": {"bucket": {"name": UPLOADS}, "object": detail}}
    clinic.letters.bodies.append(json.dumps(event))


def test_a_dead_letter_about_an_erased_object_is_erased() -> None:
    clinic = Clinic()
    for patient in ("P-1", "P-2"):
        lose(clinic, f"{patient}/lost.dcm", ct(PatientID=patient))
    clinic.letters.bodies.append("no event at all")
    clinic.erase()
    assert traces(clinic, "P-1") == []
    assert [("P-1" in body, "P-2" in body) for body in clinic.letters.bodies] == [(False, True), (False, False)]


@pytest.mark.parametrize("by_study", [False, True])
def test_a_dead_letter_about_an_upload_with_a_row_is_erased(*, by_study: bool) -> None:
    clinic = Clinic()
    for patient, study in (("P-1", THEIRS), ("P-2", OTHERS)):
        body = ct(PatientID=patient, StudyInstanceUID=study)
        lose(clinic, f"{patient}/lost.dcm", body)
        clinic.world.ingesting.take(clinic.world.upload(f"{patient}/lost.dcm", body))
    clinic.erase(Study(THEIRS, clinic.patients) if by_study else None)
    assert ["P-2" in body for body in clinic.letters.bodies] == [True]


def test_one_patient_id_of_two_issuers_is_two_patients() -> None:
    clinic = Clinic()
    for issuer in ("A", "B", None):
        clinic.take(f"of-{issuer}.dcm", PatientID="4711", IssuerOfPatientID=issuer)
    clinic.erase(Patient("4711", "A", clinic.patients))
    assert sorted(row.key for row in clinic.world.rows() if row.key) == ["of-B.dcm", "of-None.dcm"]


def test_rows_from_before_issuers_were_read_are_distinguished_by_their_objects() -> None:
    clinic = Clinic()
    for issuer in ("A", "B"):
        old_row(clinic, f"of-{issuer}.dcm", PatientID="4711", IssuerOfPatientID=issuer)
    assert clinic.erase(Patient("4711", "A", clinic.patients)).whole
    assert [row.key for row in clinic.world.rows() if row.key] == ["of-B.dcm"]


def test_a_row_without_object_and_issuer_is_left_and_named() -> None:
    clinic = Clinic()
    row = old_row(clinic, "gone.dcm", PatientID="4711", IssuerOfPatientID="A")
    clinic.world.s3._delete((UPLOADS, "gone.dcm"), "v1")
    erased = clinic.erase(Patient("4711", "A", clinic.patients))
    assert [one.upload_id for one in erased.unclear] == [row.upload_id]
    assert not erased.whole
    assert clinic.erase(Patient("4711", "", clinic.patients)).counts["rows"] == 1


@pytest.mark.parametrize(("typed", "encoding"), [("Müller-7", "latin-1"), ("Müller-7", "utf-8"), ("Ж-7", "iso8859_5")])
def test_a_patient_id_is_found_in_whatever_character_set_the_file_has_it(typed: str, encoding: str) -> None:
    clinic = Clinic()
    said = typed.encode(encoding)
    body = ct(PatientID="P" * len(said)).replace(b"P" * len(said), said)
    clinic.world.ingesting.take(clinic.world.upload("a.dcm", body))
    assert clinic.erase(Patient(f" {typed} ", "", clinic.patients)).counts["rows"] == 1


def test_a_run_that_takes_its_snapshot_while_they_are_erased_is_named() -> None:
    clinic = two_patients()
    clinic.running = ["0123456789ab"]
    assert clinic.erase().under_way == {"0123456789ab"}


def test_hidden_keys_are_found_and_forgotten() -> None:
    world = World()
    hidden = Keys(world.clients["dynamodb"], "keys", world.ingesting.patients)
    object.__setattr__(world.ingesting, "keys", hidden)
    clinic = Clinic(world)
    row = clinic.take("Doe^Jane/1.dcm", PatientID="P-1")
    assert row.key == hidden.hidden("Doe^Jane/1.dcm")
    assert not [item for item in world.dynamodb.tables["index"].values() if "Doe" in repr(item)]
    clinic.take("Roe/1.dcm", PatientID="P-2")
    clinic.erase()
    assert traces(clinic, "Doe") == []
    assert [item["Key"]["S"] for item in world.dynamodb.tables["keys"].values()] == ["Roe/1.dcm"]


@pytest.mark.parametrize("calls", range(1, 9))
def test_the_dead_letter_and_the_hidden_key_of_an_upload_without_a_row_are_erased(calls: int) -> None:
    """Ingest keeps the key before it writes the row, which may never come. An erasure may end at any of its writes."""
    clinic = Clinic()
    lose(clinic, "Doe^Jane/1.dcm", ct(PatientID="P-1"))
    clinic.connection.keys.hide(layout.upload_id("Doe^Jane/1.dcm", "v1"), "Doe^Jane/1.dcm")
    clinic.erase_until(calls)
    clinic.letters.shown = False
    clinic.erase()
    assert traces(clinic, "Doe") == []
    assert clinic.letters.bodies == []


def test_what_s3_does_not_delete_is_reported_and_its_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = two_patients()

    def denied(**_: Any) -> Any:
        raise client_error("AccessDenied", "DeleteObjects")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.world.s3, "delete_objects", denied)
        with pytest.raises(Exception, match="AccessDenied"):
            clinic.erase()
    assert clinic.erasing().find().counts()["rows"] == 5


@pytest.mark.parametrize("asked", ["08cc5c7f-30a8-4af1-9e20-1c3ca0e7a5dd", "01.2.3", " 01.2.3 "])
def test_a_study_is_asked_for_as_the_file_says_it_also_where_ingest_maps_it(asked: str) -> None:
    clinic = Clinic()
    said = asked.strip()
    valid = f"1.{'3' * (len(said) - 2)}"  # pydicom writes no other
    body = ct(StudyInstanceUID=valid).replace(valid.encode(), said.encode())
    assert clinic.world.ingesting.take(clinic.world.upload("a.dcm", body)).study_instance_uid not in {said, None}
    clinic.take("b.dcm", StudyInstanceUID=OTHERS)
    clinic.erase(Study(asked, clinic.patients))
    assert [row.key for row in clinic.world.rows() if row.key] == ["b.dcm"]


@pytest.mark.parametrize("by", ["the file", "its row", "its older row"])
def test_a_study_that_ingest_maps_is_erased_by_the_file_with_its_rows_from_before_it_was_keyed(by: str) -> None:
    clinic = Clinic()
    body = ct(StudyInstanceUID="1.33333").replace(b"1.33333", b"0047.11")
    new = clinic.world.ingesting.take(clinic.world.upload("new.dcm", body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Patients, "uuid_of", staticmethod(instance._uuid_of))
        old = clinic.world.ingesting.take(clinic.world.upload("old.dcm", body))
    assert new.study_instance_uid != old.study_instance_uid
    unread = ct(StudyInstanceUID="1.33333", PixelData=None).replace(b"1.33333", b"0047.11")
    old_refused(clinic, "refused.dcm", unread)
    asked = {"the file": "0047.11", "its row": new.study_instance_uid, "its older row": old.study_instance_uid}[by]
    assert asked
    clinic.erase(Study(asked, clinic.patients))
    left = {"the file": set(), "its row": {"old.dcm"}, "its older row": {"new.dcm"}}[by]
    assert {row.key for row in clinic.world.rows() if row.key} == left


def test_a_key_with_the_same_beginning_is_another_object() -> None:
    clinic = Clinic()
    clinic.take("a.dcm", PatientID="P-1")
    clinic.take("a.dcm.old", PatientID="P-2")
    clinic.world.s3.parts.append((UPLOADS, "a.dcm.new", "part"))
    clinic.erase()
    assert [row.key for row in clinic.world.rows() if row.key] == ["a.dcm.old"]
    assert (UPLOADS, "a.dcm.old", "v1") in clinic.world.s3.versions
    assert clinic.world.s3.parts == [(UPLOADS, "a.dcm.new", "part")]
