"""Training data of one of two patients is erased: labels, slices, snapshots and pictures; the other's stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.errors import MalformedDocument
from functions.domain.snapshot import parse
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import TRAINING
from tests.wetread.erasure.clinic import (
    CUT,
    REPORT,
    THEIRS,
    Clinic,
    put_cohort_of_both,
    traces,
    two_patients,
)
from wetread.erasure import training as erasing_training
from wetread.erasure.subjects import Study


def test_a_report_in_a_cohort_is_erased_with_the_slices() -> None:
    clinic = Clinic()
    clinic.workflow.put("report.dcm", REPORT)
    clinic.workflow.put("cut.dcm", CUT)
    clinic.workflow.put("named-like-labels.json", REPORT)
    assert clinic.erase().counts["labelled objects"] == 3
    assert traces(clinic, "P-1") == []


def test_a_snapshot_of_any_length_is_read() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    where = TRAINING, layout.snapshot_key(taken["Run"])
    document = json.loads(clinic.world.s3.objects[where])
    clinic.world.s3.objects[where] = json.dumps(document).encode() + b" " * 2 * 1024**2
    assert clinic.erase().counts["entries of snapshots"] == 2


def test_lines_that_name_a_file_by_its_study_are_erased_by_it() -> None:
    """A run finds these files by their headers, so an erasure does too."""
    clinic = Clinic()
    for patient, study in ((1, "1.7.1"), (2, "1.7.2")):
        clinic.workflow.put(f"f{patient}/IM1.dcm", ct(PatientID=f"P-{patient}", StudyInstanceUID=study))
    text = "filename;label;studyId\nIM1.dcm;cap;1.7.1\nIM1.dcm;cap;1.7.2\n"
    clinic.workflow.put("labels.csv", text.encode())
    assert clinic.erase().counts["lines of labels"] == 1
    left = clinic.world.s3.objects[TRAINING, "cohorts/c/labels.csv"]
    assert left == b"filename;label;studyId\nIM1.dcm;cap;1.7.2\n"


NO_PATIENT = {"Slice": "a", "Patient": None, "StudyInstanceUID": "", "Line": 1, "Split": "test"}


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"Slices":[', b"{}", b"[]", b"\xff", b"", b'{"Slices":[{}]}', b'{"Slices":[7]}', b"[" * 100_000),
        json.dumps({"Slices": [NO_PATIENT]}).encode(),
    ],
)
def test_a_snapshot_that_cannot_be_read_is_named_and_stops_nothing(body: bytes) -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    clinic.take("read.dcm", PatientID="P-1")
    clinic.world.s3.objects[TRAINING, "runs/broken/snapshot.json"] = body
    erased = clinic.erase()
    assert erased.undecided == {"runs/broken/snapshot.json"}
    assert (erased.counts["rows"], erased.counts["labelled objects"]) == (1, 2)
    assert len(clinic.workflow.snapshot(taken["Run"])["Slices"]) == 38
    assert clinic.world.s3.objects[TRAINING, "runs/broken/snapshot.json"] == body


def test_a_report_that_is_not_utf_8_loses_its_pictures_and_keeps_its_bytes() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    line = clinic.workflow.snapshot(taken["Run"])["Slices"][-2]["Line"]
    figure = f'<figure><img alt="Slice of line {line}" src="P-1-"></figure>'.encode()
    where = TRAINING, layout.report_key(taken["Run"])
    clinic.world.s3.objects[where] = b"caf\xe9" + figure + b"\xff"
    clinic.erase()
    after = clinic.world.s3.objects[where]
    assert after.startswith(b"caf\xe9")
    assert after.endswith(b"\xff")
    assert b"P-1-" not in after


@pytest.mark.parametrize("manifest", ["manifest.json", "labels.csv"])
def test_labels_slices_and_snapshots_lose_the_one_and_keep_the_other(manifest: str) -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic, manifest)
    before = {key for _, key in clinic.world.s3.objects if key.startswith(("cohorts/", "slices/"))}
    counts = clinic.erase().counts
    assert (counts["labelled objects"], counts["pinned slices"], counts["lines of labels"]) == (2, 2, 2)
    assert counts["entries of snapshots"] == 2
    hashed = clinic.patients.hash_of("P-1")
    assert traces(clinic, "P-1-", THEIRS) == []
    assert [where for where in traces(clinic, hashed) if "ERASURE" not in repr(where)] == []
    after = {key for _, key in clinic.world.s3.objects if key.startswith(("cohorts/", "slices/"))}
    assert len(before - after) == 4
    snapshot = clinic.workflow.snapshot(taken["Run"])
    assert len(snapshot["Slices"]) == 38
    assert snapshot["Erased"]["Slices"] == 2
    again = clinic.workflow.take(layout.uri(TRAINING, f"cohorts/c/{manifest}"), execution="run-2")
    assert again["Taken"], again["Reasons"]
    assert again["Slices"] == 38


def test_a_run_whose_slices_were_erased_ends_with_a_named_error() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    clinic.erase()
    with pytest.raises(MalformedDocument, match=r"2 slice\(s\) of the snapshot were erased"):
        parse(clinic.workflow.snapshot(taken["Run"]), taken["SnapshotDigest"])


def test_a_cohort_that_no_run_used_loses_them_too() -> None:
    clinic = Clinic()
    clinic.workflow.put("P-1-0.dcm", ct(PatientID="P-1"))
    clinic.workflow.put("P-2-0.dcm", ct(PatientID="P-2"))
    clinic.workflow.put("labels.csv", b"filename,label\nP-1-0.dcm,cap\nP-2-0.dcm,cap\n")
    clinic.erase()
    assert clinic.world.s3.objects[TRAINING, "cohorts/c/labels.csv"] == b"filename,label\nP-2-0.dcm,cap\n"
    assert traces(clinic, "P-1") == []


def test_labels_that_cannot_be_parsed_are_left_and_named() -> None:
    clinic = Clinic()
    clinic.workflow.put("P-1-0.dcm", ct(PatientID="P-1"))
    clinic.workflow.put("labels.json", b'{"P-1-0.dcm": "cap"}')
    erased = clinic.erase()
    assert erased.unsure_labels == {"cohorts/c/labels.json"}
    assert not erased.whole


def test_labels_that_s3_does_not_give_are_named_and_stop_nothing() -> None:
    clinic = Clinic()
    clinic.workflow.put("P-1-0.dcm", ct(PatientID="P-1"))
    clinic.workflow.put("labels.csv", b"filename,label\nP-1-0.dcm,cap\n")

    def reading(key: str) -> None:
        if key.endswith("labels.csv"):
            raise client_error("InvalidObjectState", "archived")

    clinic.world.s3.reading = reading
    erased = clinic.erase()
    assert not erased.whole
    assert "cohorts/c/labels.csv" in erased.unsure_labels | erased.undecided
    assert erased.counts["labelled objects"] == 1


def test_labels_without_an_end_are_named_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = Clinic()
    clinic.workflow.put("P-1-0.dcm", ct(PatientID="P-1"))
    clinic.workflow.put("endless.csv", b"filename,label\n" + b"P-9.dcm,cap\n" * 500)
    monkeypatch.setattr(erasing_training, "MOST_RUN_DOCUMENT_BYTES", 4000)
    whole = []
    read = clinic.world.s3.get_object

    def get_object(**request: Any) -> Any:
        whole.extend([request["Key"]] if "Range" not in request else [])
        return read(**request)

    monkeypatch.setattr(clinic.world.s3, "get_object", get_object)
    erased = clinic.erase()
    assert erased.unsure_labels == {"cohorts/c/endless.csv"}
    assert "cohorts/c/endless.csv" not in whole
    assert erased.counts["labelled objects"] == 1


def test_the_pictures_of_a_report_are_erased_by_their_line() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    lines = {one["Line"]: one["Slice"] for one in clinic.workflow.snapshot(taken["Run"])["Slices"]}
    figures = "".join(
        f'<figure>\n      <img src="data:{name}" alt="Slice of line {line}" width="224" height="224">\n'
        f"<figcaption><b>line {line}</b></figcaption>\n    </figure>"
        for line, name in lines.items()
    )
    clinic.world.s3.objects[TRAINING, layout.report_key(taken["Run"])] = f"<body>{figures}</body>".encode()
    erased = clinic.erase()
    report = clinic.world.s3.objects[TRAINING, layout.report_key(taken["Run"])].decode()
    assert erased.counts["pictures in reports"] == 2
    assert report.count("<figure>") == 38
    assert erased.runs == {taken["Run"]}


def report_with_pictures(clinic: Clinic, run: str, lines: Iterable[int]) -> None:
    """Write a report with a picture of the slice of each line, as the evaluation does."""
    figures = "".join(f'<figure><img src="data:{one}" alt="Slice of line {one}"></figure>' for one in lines)
    clinic.world.s3.add_version(TRAINING, layout.report_key(run), f"r{len(clinic.world.s3.versions)}", figures.encode())


def test_a_picture_that_a_job_writes_after_the_erasure_is_erased_by_the_next() -> None:
    """The evaluation had read its slices before they were erased, and stores its report when it ends."""
    clinic = Clinic()
    run = put_cohort_of_both(clinic)["Run"]
    lines = {one["Line"] for one in clinic.workflow.snapshot(run)["Slices"]}
    clinic.running = [run]
    erased = clinic.erase()
    assert not erased.whole
    assert erased.under_way == {run}
    assert clinic.record()["FinishedAt"]["S"] == ""
    report_with_pictures(clinic, run, lines)
    clinic.running = []
    erased = clinic.erase()
    assert erased.counts == {"pictures in reports": 2}
    report = clinic.world.s3.objects[TRAINING, layout.report_key(run)].decode()
    kept = {one["Line"] for one in clinic.workflow.snapshot(run)["Slices"]}
    assert {int(line) for line in re.findall(r"line (\d+)\"", report)} == kept
    assert erased.whole
    assert not clinic.erasing().find().counts()


def test_a_run_on_others_only_does_not_delay_an_erasure() -> None:
    clinic = two_patients()
    clinic.running = [clinic.workflow.take(clinic.workflow.put_cohort())["Run"]]
    assert clinic.erase().whole


def test_earlier_versions_of_a_report_are_erased_with_the_pictures() -> None:
    clinic = Clinic()
    run = put_cohort_of_both(clinic)["Run"]
    lines = {one["Line"] for one in clinic.workflow.snapshot(run)["Slices"]}
    report_with_pictures(clinic, run, lines)
    report_with_pictures(clinic, run, [])  # the evaluation ran again, and others are its worst cases
    assert clinic.erase().counts["older reports"] == 1
    assert not [where for where, body in clinic.world.s3.versions.items() if b"<figure>" in body]


def test_the_report_on_the_data_is_erased_too() -> None:
    clinic = Clinic()
    run = put_cohort_of_both(clinic)["Run"]
    lines = {one["Line"] for one in clinic.workflow.snapshot(run)["Slices"]}
    rows = "".join(f'<tr data-line="{one}"><td>{one}</td></tr>' for one in lines)
    clinic.world.s3.objects[TRAINING, layout.audit_report_key(run)] = rows.encode()
    assert clinic.erase().counts["lines in reports"] == 2
    assert clinic.world.s3.objects[TRAINING, layout.audit_report_key(run)].count(b"<tr") == 38


def test_the_record_of_the_runs_that_measured_models_on_a_patient_is_erased_and_that_of_others_stays() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    ids = {one: clinic.patients.hash_of(one) or "" for one in ("P-1", "P-2")}
    clinic.workflow.holdout.note(taken["Run"], [ids["P-1"]], [ids["P-2"]])
    assert clinic.erasing().find().counts()["records of tests"] == 1
    for writes in (1, 2, 3):
        clinic.erase_until(writes)
    clinic.erase()
    assert clinic.workflow.holdout.recorded(ids.values()) == {ids["P-2"]}
    assert clinic.erasing().find().counts()["records of tests"] == 0


def test_the_erasure_of_one_of_a_patients_studies_leaves_the_record_that_the_others_are_in() -> None:
    clinic = Clinic()
    taken = put_cohort_of_both(clinic)
    patient = next(one for one in clinic.workflow.snapshot(taken["Run"])["Slices"])["Patient"]
    studies = {
        one["StudyInstanceUID"] for one in clinic.workflow.snapshot(taken["Run"])["Slices"] if one["Patient"] == patient
    }
    clinic.workflow.holdout.note(taken["Run"], [patient], [])
    for study in sorted(studies):
        assert clinic.workflow.holdout.recorded([patient])
        clinic.erase(Study(study, clinic.patients))
    assert not clinic.workflow.holdout.recorded([patient])
