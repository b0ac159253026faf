"""Files in, and, with --wait, how each of them ended."""

import json
import os
from pathlib import Path

import pytest

from functions.domain.layout import upload_id
from functions.domain.row import Status
from wetread.uploads import submission, waiting


@pytest.fixture
def scans(tmp_path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("good.dcm", "bad.dcm", "manifest.json"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def service(connection, completed, pending, monkeypatch):
    """Gives every object that is put its row at once: completed, refused for bad.dcm, none for slow.dcm."""
    put = connection.s3.put_object

    def put_and_take(**request):
        answer = put(**request)
        key, version = request["Key"], answer["VersionId"]
        identity = {"upload_id": upload_id(key, version), "key": key, "version_id": version}
        if key.endswith("bad.dcm"):
            refusal = {"status": Status.REFUSED, "code": "NotDicom", "reason": "The object is not a DICOM file."}
            connection.index.rows.append(pending(**identity, **refusal))
        elif not key.endswith("slow.dcm"):
            connection.index.rows.append(completed(**identity))
        return answer

    monkeypatch.setattr(connection.s3, "put_object", put_and_take)
    monkeypatch.setattr(waiting.time, "sleep", lambda _: None)
    return connection


def test_submits_and_says_what_was_left_out(wetread, connection, scans) -> None:
    result = wetread("submit", scans, "--prefix", "today")
    assert result.exit_code == 0
    assert {key for key, _ in connection.s3.versions} == {"today/scans/good.dcm", "today/scans/bad.dcm"}
    assert "Submitted 2 of 2 files to s3://uploads" in result.stderr
    assert "manifest.json" in result.stderr
    assert result.stdout == ""


def test_a_folder_that_cannot_be_read_is_named_and_the_exit_is_1(wetread, connection, scans, monkeypatch) -> None:
    (scans / "locked").mkdir()
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    result = wetread("submit", scans)
    assert result.exit_code == 1
    assert f"Left out the folder '{scans}/locked': it cannot be read." in result.stderr
    assert len(connection.s3.versions) == 2


def test_a_name_with_a_line_break_makes_no_line(wetread, scans) -> None:
    (scans / ".x\nSubmitted 9 of 9 files.").touch()
    (scans / "y\nSubmitted 9 of 9 files.").symlink_to("/nowhere")
    said = wetread("submit", scans).stderr
    assert said.count("Submitted 9 of 9 files") == 2
    assert not [line for line in said.splitlines() if line.startswith("Submitted 9")]


def test_json_lists_the_uploads(wetread, connection, scans) -> None:
    documents = json.loads(wetread("submit", scans / "good.dcm", "--json").stdout)
    assert documents == [{"UploadId": upload_id("good.dcm", "version-1"), "Key": "good.dcm", "VersionId": "version-1"}]


def test_waiting_names_what_was_refused_and_fails(wetread, service, scans) -> None:
    result = wetread("submit", scans, "--wait")
    assert result.exit_code == 1
    assert "1 Completed, 1 Refused" in result.stderr
    assert "scans/bad.dcm  NotDicom: The object is not a DICOM file." in result.stderr
    assert "scans/good.dcm" in result.stdout


def test_waiting_for_good_objects_succeeds(wetread, service, scans) -> None:
    result = wetread("submit", scans / "good.dcm", "--wait", "--json")
    assert result.exit_code == 0
    assert [document["Status"] for document in json.loads(result.stdout)] == ["Completed"]


def test_a_timeout_says_what_has_not_ended(wetread, service, scans) -> None:
    (scans / "slow.dcm").touch()
    result = wetread("submit", scans, "--wait", "--timeout", "1")
    assert result.exit_code == 1
    assert "After 1 s 1 have not ended: scans/slow.dcm" in result.stderr


def test_waiting_without_a_champion_is_warned_of(wetread, service, scans) -> None:
    service.registry.champion = lambda: None
    assert "no champion" in wetread("submit", scans / "good.dcm", "--wait").stderr


def test_long_lists_are_cut(wetread, service, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(submission, "NAMED", 2)
    for number in range(4):
        (tmp_path / f"{number}-bad.dcm").touch()
    result = wetread("submit", *sorted(tmp_path.iterdir()), "--wait")
    assert "and 2 more" in result.stderr


def test_a_wrong_path_is_reported_before_any_cloud_is_asked(wetread, connection, tmp_path) -> None:
    result = wetread("submit", tmp_path / "absent")
    assert result.exit_code == 2
    assert connection.where not in result.stderr
