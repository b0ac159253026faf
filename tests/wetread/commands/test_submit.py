"""Files in, and, with --wait, how each of them ended."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from pydicom.uid import MRImageStorage

from functions.domain.layout import upload_id
from functions.domain.marker import SUFFIX
from functions.domain.row import Status
from tests.fakes.dicom import ct
from tests.wetread.studies import STUDY_OF_ROWS, close
from wetread.commands import session
from wetread.problems import ConfigProblem
from wetread.uploads import submission, waiting
from wetread.uploads.sent import Sent

GOOD = ct()
BAD = GOOD[:300]


def scans_in(connection) -> list[str]:
    """Return the keys of all versions of what was sent, without the markers."""
    return [key for key, _ in connection.s3.versions if not key.endswith(SUFFIX)]


def markers_in(connection) -> list[dict]:
    """Return the markers that were sent."""
    return [json.loads(body) for (key, _), body in connection.s3.versions.items() if key.endswith(SUFFIX)]


@pytest.fixture
def scans(tmp_path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "good.dcm").write_bytes(GOOD)
    (folder / "bad.dcm").write_bytes(BAD)
    (folder / "manifest.json").write_text("[]")
    return folder


@pytest.fixture
def service(connection, completed, pending, monkeypatch):
    """Gives every object that is put its row at once: completed, refused for bad.dcm, none for slow.dcm."""
    put = connection.s3.put_object

    def put_and_take(**request):
        answer = put(**request)
        key, version = request["Key"], answer["VersionId"]
        identity = {"upload_id": upload_id(key, version), "key": key, "version_id": version}
        if key.endswith(SUFFIX):
            connection.index.rows.append(pending(**identity, status=Status.MARKER))
            close(connection, STUDY_OF_ROWS)
        elif key.endswith("bad.dcm"):
            refusal = {"status": Status.REFUSED, "code": "TruncatedHeader", "reason": "The object ends early."}
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
    assert set(scans_in(connection)) == {"today/scans/good.dcm", "today/scans/bad.dcm"}
    assert "Submitted 2 files to s3://uploads" in result.stderr
    assert "manifest.json" in result.stderr
    assert result.stdout == ""


def test_a_folder_that_cannot_be_read_is_named_and_the_exit_is_1(wetread, connection, scans, unreadable) -> None:
    (scans / "locked").mkdir()
    unreadable("locked")
    result = wetread("submit", scans)
    assert result.exit_code == 1
    assert f"{scans}/locked  The folder cannot be read: Permission denied." in result.stderr
    assert len(scans_in(connection)) == 2


def test_a_name_with_a_line_break_makes_no_line(wetread, scans) -> None:
    (scans / ".x\nSubmitted 9 files.").touch()
    (scans / "y\nSubmitted 9 files.").symlink_to("/nowhere")
    (scans / "z\nSubmitted 9 files.").write_bytes(GOOD)
    said = wetread("submit", scans).stderr
    assert said.count("Submitted 9 files") == 3
    assert not [line for line in said.splitlines() if line.startswith("Submitted 9")]


def test_json_lists_the_uploads(wetread, connection, scans) -> None:
    documents = json.loads(wetread("submit", scans / "good.dcm", "--json").stdout)
    assert documents == [{"UploadId": upload_id("good.dcm", "version-1"), "Key": "good.dcm", "VersionId": "version-1"}]


def test_waiting_names_what_was_refused_and_fails(wetread, service, scans) -> None:
    result = wetread("submit", scans, "--wait")
    assert result.exit_code == 1
    assert "1 Completed, 1 Refused" in result.stderr
    assert "scans/bad.dcm  TruncatedHeader: The object ends early." in result.stderr
    assert "scans/good.dcm" in result.stdout


def test_waiting_for_good_objects_succeeds(wetread, service, scans) -> None:
    result = wetread("submit", scans / "good.dcm", "--wait", "--json")
    assert result.exit_code == 0
    assert [document["Status"] for document in json.loads(result.stdout)] == ["Completed"]


def test_a_timeout_says_what_has_not_ended(wetread, service, scans) -> None:
    (scans / "slow.dcm").write_bytes(GOOD)
    result = wetread("submit", scans, "--wait", "--timeout", "1")
    assert result.exit_code == 1
    assert "After 1 s 1 have not ended: scans/slow.dcm" in result.stderr


def test_waiting_without_a_champion_is_warned_of(wetread, service, scans) -> None:
    service.registry.champion = lambda: None
    assert "no champion" in wetread("submit", scans / "good.dcm", "--wait").stderr


def test_long_lists_are_cut(wetread, service, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(submission, "NAMED", 2)
    for number in range(4):
        (tmp_path / f"{number}-bad.dcm").write_bytes(BAD)
    result = wetread("submit", *sorted(tmp_path.iterdir()), "--wait")
    assert "and 2 more" in result.stderr


def test_a_wrong_path_is_reported_before_any_cloud_is_asked(wetread, connection, tmp_path) -> None:
    result = wetread("submit", tmp_path / "absent")
    assert result.exit_code == 2
    assert connection.where not in result.stderr


def test_what_is_not_dicom_is_named_and_no_failure(wetread, connection, scans) -> None:
    (scans / "patients.xlsx").write_bytes(b"PK\x03\x04" + b"Jane Doe" * 50)
    result = wetread("submit", scans)
    assert result.exit_code == 0
    assert "1 file left out, not DICOM:" in result.stderr
    assert "patients.xlsx" in result.stderr
    assert len(scans_in(connection)) == 2


def test_what_is_not_for_this_service_is_listed_apart_and_no_failure(wetread, service, scans) -> None:
    (scans / "bad.dcm").unlink()
    (scans / "mr.dcm").write_bytes(ct(SOPClassUID=MRImageStorage, Modality="MR"))
    result = wetread("submit", scans, "--wait")
    assert result.exit_code == 0
    assert "1 DICOM object not for this service, not sent:" in result.stderr
    assert "mr.dcm  SOPClassNotServed: " in result.stderr
    assert scans_in(service) == ["scans/good.dcm"]


def test_a_folder_of_objects_for_others_alone_is_no_failure(wetread, connection, scans) -> None:
    for name in ("good.dcm", "bad.dcm"):
        (scans / name).write_bytes(ct(SOPClassUID=MRImageStorage, Modality="MR"))
    assert wetread("submit", scans, "--wait").exit_code == 0
    assert connection.s3.versions == {}


def test_an_object_for_others_that_is_named_is_sent_and_its_refusal_no_failure(
    wetread, connection, pending, tmp_path, monkeypatch
) -> None:
    (tmp_path / "mr.dcm").write_bytes(ct(SOPClassUID=MRImageStorage, Modality="MR"))
    refusal = {"status": Status.REFUSED, "code": "SOPClassNotServed", "reason": "It is an MR."}
    row = pending(upload_id=upload_id("mr.dcm", "version-1"), key="mr.dcm", version_id="version-1", **refusal)
    connection.index.rows.append(row)
    result = wetread("submit", tmp_path / "mr.dcm", "--wait")
    assert result.exit_code == 0
    assert "1 DICOM object not for this service:" in result.stderr
    assert "mr.dcm  SOPClassNotServed: It is an MR." in result.stderr


def test_where_the_stack_does_not_say_what_it_serves_all_dicom_is_sent(wetread, connection, scans) -> None:
    connection.deployment = dataclasses.replace(connection.deployment, served=None)
    (scans / "mr.dcm").write_bytes(ct(SOPClassUID=MRImageStorage, Modality="MR"))
    assert wetread("submit", scans).exit_code == 0
    assert len(scans_in(connection)) == 3


def test_without_any_dicom_there_is_nothing_to_submit(wetread, connection, tmp_path) -> None:
    (tmp_path / "letter.txt").write_text("no image" * 50)
    for more in ((), ("--dry-run",)):
        result = wetread("submit", tmp_path, *more)
        assert result.exit_code == 2
        assert "There is nothing to submit" in result.stderr
        assert "letter.txt" in result.stderr


def test_one_bad_name_stops_no_other_and_fails(wetread, connection, scans) -> None:
    Path(os.fsdecode(os.fsencode(scans) + b"/caf\xe9.dcm")).write_bytes(GOOD)
    result = wetread("submit", scans)
    assert result.exit_code == 1
    assert "scans/caf\N{REPLACEMENT CHARACTER}.dcm  Its name is not valid Unicode: rename it." in result.stderr
    assert len(scans_in(connection)) == 2


def test_a_dry_run_sends_nothing_and_lists_the_same(wetread, connection, scans) -> None:
    (scans / "letter.txt").write_text("no image" * 50)
    dry = wetread("submit", scans, "--dry-run", "--json")
    assert dry.exit_code == 0
    assert connection.s3.versions == {}
    assert json.loads(dry.stdout) == [{"Key": "scans/bad.dcm"}, {"Key": "scans/good.dcm"}]
    assert "A dry run: 2 files would be sent, none was." in dry.stderr
    listing = dry.stderr.split("A dry run")[0]
    assert listing in wetread("submit", scans).stderr


def test_a_dry_run_needs_no_cloud(wetread, connection, scans, monkeypatch) -> None:
    def none(_choice):
        raise ConfigProblem("The local cloud does not run.", "Start it.")

    monkeypatch.setattr(session, "connect", none)
    result = wetread("submit", scans, "--dry-run")
    assert result.exit_code == 0
    assert "every DICOM object counts as sent. The local cloud does not run." in result.stderr


def test_a_repeated_command_sends_nothing_and_follows_what_was_sent(wetread, service, scans) -> None:
    (scans / "bad.dcm").unlink()
    first = json.loads(wetread("submit", scans, "--json").stdout)
    result = wetread("submit", scans, "--wait", "--json")
    assert result.exit_code == 0
    assert [row["UploadId"] for row in json.loads(result.stdout)] == [one["UploadId"] for one in first]
    assert "1 file sent before, byte for byte, and not again" in result.stderr
    assert len(scans_in(service)) == 1
    wetread("submit", scans, "--again")
    assert len(scans_in(service)) == 2


def test_another_deployment_gets_what_this_one_has(wetread, connection, scans) -> None:
    wetread("submit", scans)
    connection.deployment = dataclasses.replace(connection.deployment, stack_id="arn:another")
    wetread("submit", scans)
    assert len(scans_in(connection)) == 4


def test_where_nothing_can_be_recorded_everything_is_sent_with_a_warning(
    wetread, connection, scans, tmp_path, monkeypatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    result = wetread("submit", scans)
    assert result.exit_code == 0
    assert "a repeated command will send everything again" in result.stderr
    assert len(scans_in(connection)) == 2


def test_an_interrupted_submission_continues_when_it_is_repeated(wetread, connection, scans, monkeypatch) -> None:
    put = connection.s3.put_object

    def interrupted(**request):
        if request["Key"].endswith("good.dcm"):
            raise KeyboardInterrupt
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", interrupted)
    result = wetread("submit", scans)
    assert result.exit_code == 130
    assert "the same command sends what is left" in result.stderr
    monkeypatch.setattr(connection.s3, "put_object", put)
    assert wetread("submit", scans).exit_code == 0
    assert sorted(scans_in(connection)) == ["scans/bad.dcm", "scans/good.dcm"]


def test_a_named_file_that_cannot_be_read_stops_no_other(wetread, connection, scans, monkeypatch) -> None:
    access, opening = os.access, os.open

    def may(path, mode, **more):
        return not str(path).endswith("bad.dcm") and access(path, mode, **more)

    def denied(path, *arguments, **more):
        if str(path).endswith("bad.dcm"):
            raise PermissionError(13, "Permission denied")
        return opening(path, *arguments, **more)

    monkeypatch.setattr(os, "access", may)
    monkeypatch.setattr(os, "open", denied)
    result = wetread("submit", scans / "bad.dcm", scans / "good.dcm")
    assert result.exit_code == 1
    assert "bad.dcm  The file cannot be read: Permission denied." in result.stderr
    assert scans_in(connection) == ["good.dcm"]


def test_what_was_sent_and_could_not_be_recorded_is_counted(wetread, connection, scans, monkeypatch) -> None:
    def full(record, *_entry):
        record.unwritten += 1

    monkeypatch.setattr(Sent, "add", full)
    result = wetread("submit", scans)
    assert result.exit_code == 0
    assert "3 objects sent but not recorded: a repeated command sends them again." in result.stderr


def test_a_quota_of_0_is_warned_of_before_anything_is_sent_and_stops_nothing(wetread, connection, scans) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    result = wetread("submit", scans)
    assert result.exit_code == 0, result.output
    warning, sent = result.stderr.index("'ml.m5.xlarge for transform job usage' is 0"), result.stderr.index("Submitted")
    assert warning < sent
    assert "is kept, and waits until the quota is raised" in result.stderr
    assert "--quota-code L-7939E4EC --desired-value 2" in result.stderr


def test_a_quota_for_one_job_is_enough_to_submit_without_a_warning(wetread, connection, scans) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 1
    assert "Warning: The quota" not in wetread("submit", scans).stderr


def test_quotas_that_may_not_be_asked_stop_no_submission(wetread, connection, scans) -> None:
    connection.account.denied = dict.fromkeys(("get_service_quota", "list_service_quotas"), "AccessDeniedException")
    result = wetread("submit", scans)
    assert result.exit_code == 0
    assert "Submitted 2 files" in result.stderr
    assert "AccessDenied" not in result.stderr


def test_a_dry_run_asks_for_no_quota(wetread, connection, scans) -> None:
    connection.account.quotas["ml.m5.xlarge for transform job usage"] = 0
    wetread("submit", scans, "--dry-run")
    assert not connection.account.asked


def test_a_study_of_which_every_file_is_sent_gets_a_marker_that_names_its_objects(wetread, connection, scans) -> None:
    (scans / "second.dcm").write_bytes(ct(SOPInstanceUID="1.2.840.99.1.2.4"))
    result = wetread("submit", scans, "--prefix", "today")
    assert markers_in(connection) == [
        {
            "Schema": "complete/1",
            "StudyInstanceUID": "1.2.840.99.1",
            "Series": [
                {"SeriesInstanceUID": "1.2.840.99.1.2", "SOPInstanceUIDs": ["1.2.840.99.1.2.3", "1.2.840.99.1.2.4"]}
            ],
        }
    ]
    (key,) = {key for key, _ in connection.s3.versions if key.endswith(SUFFIX)}
    assert key.startswith("today/complete/")
    assert "1 study marked as whole" in result.stderr


def test_a_study_with_a_file_that_was_not_sent_gets_no_marker_and_others_do(
    wetread, connection, scans, monkeypatch
) -> None:
    (scans / "other.dcm").write_bytes(ct(StudyInstanceUID="1.2.3.4"))
    (scans / "lost.dcm").write_bytes(ct(SOPInstanceUID="1.2.840.99.1.2.4"))
    put = connection.s3.put_object

    def deny(**request):
        if request["Key"].endswith("lost.dcm"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", deny)
    result = wetread("submit", scans)
    assert result.exit_code == 1
    assert [one["StudyInstanceUID"] for one in markers_in(connection)] == ["1.2.3.4"]
    assert "A study with a file that was not sent is read when nothing more has come" in result.stderr


def test_while_the_study_of_a_file_that_was_not_sent_is_unknown_no_study_gets_a_marker(
    wetread, connection, scans, unreadable
) -> None:
    (scans / "locked").mkdir()
    unreadable("locked")
    assert wetread("submit", scans).exit_code == 1
    assert markers_in(connection) == []


def test_a_marker_that_cannot_be_sent_fails_nothing(wetread, connection, scans, monkeypatch) -> None:
    put = connection.s3.put_object

    def deny(**request):
        if request["Key"].endswith(SUFFIX):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", deny)
    result = wetread("submit", scans)
    assert result.exit_code == 0
    assert "1 marker not sent; these studies are read when they are quiet." in result.stderr


def test_a_marker_is_sent_again_with_a_new_file_of_its_study_and_else_not(wetread, connection, scans) -> None:
    wetread("submit", scans)
    wetread("submit", scans)
    assert len(markers_in(connection)) == 1
    (scans / "good.dcm").write_bytes(ct(InstanceNumber=7))  # other bytes, same UID
    wetread("submit", scans)
    assert len(markers_in(connection)) == 2


def test_a_file_without_an_instance_uid_is_counted_and_one_without_a_study_is_no_ones(
    wetread, connection, tmp_path
) -> None:
    (tmp_path / "nameless.dcm").write_bytes(ct(SOPInstanceUID=None))
    (tmp_path / "named.dcm").write_bytes(GOOD)
    (tmp_path / "studyless.dcm").write_bytes(ct(StudyInstanceUID=None))
    wetread("submit", tmp_path)
    (marker,) = markers_in(connection)
    assert marker["Series"] == [{"SeriesInstanceUID": "1.2.840.99.1.2", "NumberOfInstances": 2}]


def test_waiting_ends_with_the_studies(wetread, service, scans) -> None:
    result = wetread("submit", scans / "good.dcm", "--wait")
    assert result.exit_code == 0
    assert result.stdout.index("Completed") < result.stdout.index("Studies") < result.stdout.index("8 of 9")
    assert "1  FewSlices: no series has 10 slices that count." in result.stderr


def test_a_study_that_is_not_closed_in_time_is_named(wetread, service, scans, monkeypatch) -> None:
    monkeypatch.setattr(service.studies, "close", lambda *_: True, raising=False)
    result = wetread("submit", scans / "good.dcm", "--wait", "--timeout", "1")
    assert result.exit_code == 0
    assert "1 study not read yet: see `wetread studies --open`." in result.stderr
