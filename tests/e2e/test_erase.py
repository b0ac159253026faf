"""One of two patients is erased from a running service: a scan of everything finds nothing of the one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from functions.domain.row import Status
from tests.e2e import places
from tests.e2e.conftest import Service, running
from tests.e2e.story import QUICK, SMALL
from wetread.demo.phantoms import LABELS, phantom_bytes, write_cohort
from wetread.erasure.erasure import Erasing
from wetread.erasure.subjects import Patient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ISSUER = "Clinic of Zwelda"
STUDIES = {"QWX-ONE": "2.25.771177117711", "QWX-TWO": "2.25.882288228822"}


def slice_of(patient: str, number: int) -> bytes:
    """Return a slice of one of the two patients."""
    dataset = dcmread(BytesIO(phantom_bytes(LABELS[number % 3], 900 + number, 0, size=96, seed=23)))
    dataset.PatientID, dataset.IssuerOfPatientID, dataset.StudyInstanceUID = patient, ISSUER, STUDIES[patient]
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def cohort_of(folder: Path) -> Path:
    """Return a cohort with two slices of each among others."""
    write_cohort(folder, patients=30, slices_per_patient=1, size=96)
    entries = json.loads((folder / "manifest.json").read_text())
    for number, (patient, nth) in enumerate((one, nth) for one in STUDIES for nth in range(2)):
        name = f"{patient}-{nth}.dcm"
        (folder / name).write_bytes(slice_of(patient, 50 + number))
        entries.append({"filename": name, "content": entries[number]["content"]})
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    """A service that has read and trained on both."""
    with running(tmp_path_factory.mktemp("home"), artifact) as service:
        uploads = {}
        for patient in STUDIES:
            uploads |= service.put_all({f"{patient}/{n}.dcm": slice_of(patient, n) for n in range(3)})
            uploads |= service.put_all({f"{patient}/bad.dcm": slice_of(patient, 7)[:-900]})
        service.rows(uploads)
        service.rows({"newer": service.put("QWX-ONE/0.dcm", slice_of("QWX-ONE", 9))})
        bucket = service.connection.deployment.uploads_bucket_name
        service.connection.s3.delete_object(Bucket=bucket, Key="QWX-ONE/1.dcm")
        service.connection.s3.create_multipart_upload(Bucket=bucket, Key="QWX-ONE/2.dcm")
        cohort = cohort_of(tmp_path_factory.mktemp("cohort") / "labelled")
        done = service.command("train", "--labels", str(cohort), "--wait", *QUICK, *SMALL)
        assert service.connection.runs.newest(1)[0].output, done.stderr
        yield service


def everything(service: Service) -> dict[str, bytes]:
    """Return all data within reach of an erasure: tables, and every version of every object."""
    found: dict[str, bytes] = {}
    for place in (*places.tables(service.connection), *objects(service)):
        found[place.name] = found.get(place.name, b"") + place.content
    return found


def objects(service: Service) -> Iterator[places.Place]:
    """Yield every version of every object with its bytes, and every delete marker."""
    s3 = service.connection.s3
    for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in page.get("Versions", []):
                where: Any = {"Bucket": bucket, "Key": entry["Key"]}
                where |= {} if entry["VersionId"] == "null" else {"VersionId": entry["VersionId"]}
                name = f"{bucket}/{entry['Key']}/{entry['VersionId']}"
                yield places.Place(name, s3.get_object(**where)["Body"].read() + name.encode())
            for marker in page.get("DeleteMarkers", []):
                yield places.Place(f"marker/{bucket}/{marker['Key']}", marker["Key"].encode())


def traces(service: Service, *texts: str) -> set[str]:
    """Return the places of any of ``texts``."""
    return {name for name, content in everything(service).items() if any(one.encode() in content for one in texts)}


def test_one_of_two_patients_is_erased_and_the_other_is_as_before(clinic: Service) -> None:
    connection = clinic.connection
    others = connection.patients.hash_of("QWX-TWO", ISSUER)
    theirs = connection.patients.hash_of("QWX-ONE", ISSUER)
    assert others
    assert theirs
    before = everything(clinic)
    rows_of_other = connection.index.get_many(connection.index.of_patient(others))
    assert {row.status for row in rows_of_other.values()} >= {Status.COMPLETED}
    assert traces(clinic, "QWX-ONE", STUDIES["QWX-ONE"], theirs)

    looked = clinic.command("erase", "--patient", "QWX-ONE", "--issuer", ISSUER)
    assert looked.returncode == 0, looked.stderr
    assert "Nothing was changed" in looked.stderr
    assert everything(clinic) == before, "to look changes nothing"

    # Collectors have ten minutes to end; here they have ended.
    erasing = Erasing(connection, Patient("QWX-ONE", ISSUER, connection.patients), settled_seconds=0)
    erased = erasing.erase(lambda _rows: None)
    assert erased.whole
    assert {"upload versions", "delete markers", "unfinished multipart uploads", "rows", "result documents"} <= set(
        erased.counts
    )
    assert {"labelled objects", "pinned slices", "lines of labels", "entries of snapshots"} <= set(erased.counts)
    assert traces(clinic, "QWX-ONE", STUDIES["QWX-ONE"]) == set()
    assert all(name.endswith("SubjectHash") for name, content in everything(clinic).items()
               if theirs.encode() in content)  # fmt: skip
    uploads = connection.deployment.uploads_bucket_name
    assert not connection.s3.list_multipart_uploads(Bucket=uploads).get("Uploads")

    assert connection.index.get_many(rows_of_other) == rows_of_other
    kept = {name: content for name, content in before.items() if "QWX-TWO" in name}
    after = everything(clinic)
    assert kept
    assert {name: after.get(name) for name in kept} == kept
    results = connection.deployment.results_bucket_name
    for row in rows_of_other.values():
        if row.prediction_key:
            assert connection.s3.head_object(Bucket=results, Key=row.prediction_key)

    again = clinic.command("erase", "--patient", "QWX-ONE", "--issuer", ISSUER, "--yes", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["Erased"] == {}


def test_an_upload_of_the_erased_is_an_upload_like_any_other(clinic: Service) -> None:
    upload = clinic.put("again.dcm", slice_of("QWX-ONE", 0))
    assert clinic.rows({"again.dcm": upload})["again.dcm"].status == Status.COMPLETED
