"""The command line against the running service: for people, for programs, and the exit codes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from pydicom.uid import MRImageStorage

from tests import core
from tests.e2e.conftest import Service
from tests.fakes.dicom import ct
from wetread.demo.phantoms import phantom_bytes, write_cohort

pytestmark = [pytest.mark.e2e, pytest.mark.story, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cohort(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six slices, submitted."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, patients=3, slices_per_patient=2, size=128, seed=11)
    done = service.command("submit", str(folder), "--wait")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_first_line_says_which_cloud(service: Service) -> None:
    assert service.command("status").stderr.splitlines()[0].startswith("local cloud at http://127.0.0.1:")


def test_results_answer_as_json_and_csv(service: Service, cohort: Path) -> None:
    rows = json.loads(service.command("results", "--json", "--limit", "1000").stdout)
    ours = [row for row in rows if row["Key"].startswith(cohort.name)]
    assert len(ours) == 6
    assert {row["Status"] for row in ours} == {"Completed"}
    study = ours[0]["StudyInstanceUID"]
    by_study = json.loads(service.command("results", "--study", study, "--json").stdout)
    assert {row["StudyInstanceUID"] for row in by_study} == {study}
    assert len(by_study) == 2
    lines = list(csv.DictReader(io.StringIO(service.command("results", "--study", study, "--csv").stdout)))
    assert len(lines) == 2


def test_results_are_asked_for_with_the_core_alone(service: Service, cohort: Path, tmp_path: Path) -> None:
    done = core.wetread(core.install(tmp_path), "--local", "results", "--json", **service.environment)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) >= 6


@pytest.mark.parametrize("option", ["series", "key", "job", "status", "class", "model"])
def test_each_query_finds_the_row(service: Service, cohort: Path, option: str) -> None:
    everything = json.loads(service.command("results", "--json", "--limit", "1000").stdout)
    row = next(row for row in everything if row["Key"].startswith(cohort.name))
    attribute = {
        "series": "SeriesInstanceUID",
        "key": "Key",
        "job": "TransformJobName",
        "status": "Status",
        "class": "PredictedClass",
        "model": "ModelPackage",
    }[option]
    found = json.loads(service.command("results", f"--{option}", row[attribute], "--json", "--limit", "1000").stdout)
    assert row["UploadId"] in {one["UploadId"] for one in found}
    assert {one[attribute] for one in found} == {row[attribute]}


def test_submit_names_what_was_left_out_and_refused_and_exits_with_1(service: Service, tmp_path: Path) -> None:
    good = phantom_bytes("cap", 77, 0, size=128, seed=13)
    (tmp_path / "good.dcm").write_bytes(good)
    (tmp_path / "cut.dcm").write_bytes(good[:300])
    (tmp_path / "letter.dcm").write_text("no image at all, only a letter of many words" * 9)
    done = service.command("submit", str(tmp_path), "--wait")
    assert done.returncode == 1
    assert "1 file left out, not DICOM:" in done.stderr
    assert "letter.dcm" in done.stderr
    assert "cut.dcm  TruncatedHeader" in done.stderr


def test_a_folder_as_people_have_them_is_read_once_however_often_it_is_submitted(
    service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "as people have them"
    (folder / ".store").mkdir(parents=True)
    (folder / ".store/IM1").write_bytes(phantom_bytes("cap", 78, 0, size=96, seed=13))
    (folder / "linked.dcm").symlink_to(".store/IM1")
    (folder / "around").symlink_to(".")
    (folder / "new\nline.dcm.gz").write_bytes(gzip.compress(phantom_bytes("cap", 78, 1, size=96, seed=13)))
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DICOM/IM2", phantom_bytes("cap", 78, 2, size=96, seed=13))
        archive.writestr("DICOM/MR1", ct(SOPClassUID=MRImageStorage, Modality="MR"))
    (folder / "patients.xlsx").write_bytes(b"PK" + b"Jane Doe" * 50)
    os.mkfifo(folder / "pipe.dcm")
    first = service.command("submit", str(folder), "--json")
    assert first.returncode == 0, first.stderr
    again = service.command("submit", str(folder), "--wait", "--json")
    assert again.returncode == 0, again.stderr
    rows = json.loads(again.stdout)
    assert {row["Key"]: row["Status"] for row in rows} == {
        f"{folder.name}/{name}": "Completed" for name in ("linked.dcm", "new\nline.dcm.gz", "export.zip/DICOM/IM2")
    }
    assert {row["UploadId"] for row in rows} == {one["UploadId"] for one in json.loads(first.stdout)}
    bucket = service.connection.deployment.uploads_bucket_name
    listed = service.connection.s3.list_object_versions(Bucket=bucket, Prefix=f"{folder.name}/")
    assert len(listed["Versions"]) == 3


def test_predict_gives_the_answer_of_the_service(service: Service, cohort: Path) -> None:
    path = sorted(cohort.glob("*.dcm"))[0]
    done = service.command("predict", str(path), "--model", str(service.artifact), "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    key = f"{cohort.name}/{path.name}"
    (row,) = json.loads(service.command("results", "--key", key, "--json").stdout)
    assert answer["ContentSHA256"] == row["ContentSHA256"]
    assert answer["Class"] == row["PredictedClass"]
    assert answer["Probabilities"] == pytest.approx(row["Probabilities"])


def test_status_and_doctor_are_content(service: Service, cohort: Path) -> None:
    status = json.loads(service.command("status", "--json").stdout)
    assert "Champion" in json.dumps(status)
    doctor = service.command("doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_models_are_listed_and_an_unknown_one_is_refused_with_a_remedy(service: Service) -> None:
    assert "wetread/1" in service.command("model", "list").stdout
    refused = service.command("model", "promote", "99")
    assert refused.returncode != 0
    assert "model list" in refused.stderr
