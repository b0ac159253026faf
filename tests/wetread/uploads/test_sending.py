"""Files become the Uploads that the service will see; what was sent is not sent again; nothing else is sent."""

import base64
import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.domain.layout import upload_id
from infra.config import StageConfig
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from wetread.uploads import sending
from wetread.uploads.files import Source
from wetread.uploads.planning import Candidate, plan
from wetread.uploads.sending import Uploader, send, send_all
from wetread.uploads.sent import Sent
from wetread.uploads.sorting import Group

SERVED = StageConfig().served


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "ward 7"
    for number, name in enumerate(("b.dcm", "deep/a+ü.dcm", "deep/er/c")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(ct(SOPInstanceUID=f"1.2.{number}"))
    return root


def uploader(connection, **more) -> Uploader:
    return Uploader(connection.s3, "uploads", **more)


def sent_from(folder, connection, served=SERVED, **more):
    return send(plan([folder]).candidates, served, uploader(connection, **more), lambda: None)


@pytest.fixture
def record(tmp_path):
    sent = Sent(tmp_path / "state/sent.sqlite", 1_000_000.0)
    yield sent
    sent.close()


def test_files_become_uploads_in_order(folder, connection) -> None:
    steps = []
    candidates = plan([folder]).candidates
    outcome = send(candidates, SERVED, uploader(connection), lambda: steps.append(1))
    assert outcome.unsent == []
    assert [one.candidate for one in outcome.done] == list(candidates)
    assert [one.upload_id for one in outcome.done] == [upload_id(one.key, one.version_id) for one in outcome.done]
    assert {key for key, _ in connection.s3.versions} == {"ward 7/b.dcm", "ward 7/deep/a+ü.dcm", "ward 7/deep/er/c"}
    assert len(steps) == 3


def test_a_dry_run_sends_nothing_and_finds_the_same(folder, connection) -> None:
    (folder / "letter.dcm").write_bytes(b"a letter" * 99)
    outcome = send(plan([folder]).candidates, SERVED, None, lambda: None)
    assert len(outcome.fitting) == 3
    assert outcome.done == []
    assert outcome.unsent == sent_from(folder, connection).unsent
    assert len(connection.s3.versions) == 3


def test_what_is_not_dicom_is_sent_by_no_way_of_naming_it(folder, connection) -> None:
    secret = folder / "patients.xlsx"
    secret.write_bytes(b"PK\x03\x04" + b"Jane Doe" * 99)
    shutil.copy(secret, folder / "looks-like.dcm")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(secret, "patients.dcm")
    for paths in ([folder], sorted(folder.glob("*")), [secret]):
        send(plan(paths).candidates, SERVED, uploader(connection), lambda: None)
    assert not [body for body in connection.s3.versions.values() if b"Jane Doe" in body]


def test_one_failing_file_does_not_stop_the_others(folder, connection, monkeypatch) -> None:
    put = connection.s3.put_object

    def deny(**request):
        if request["Key"] == "ward 7/b.dcm":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", deny)
    candidates = [*plan([folder]).candidates, Candidate(Source(folder / "gone.dcm", "gone.dcm"))]
    outcome = send(candidates, SERVED, uploader(connection), lambda: None)
    assert len(outcome.done) == 2
    assert [(one.name, one.group) for one in outcome.unsent] == [
        (str(folder / "b.dcm"), Group.FAILED),
        (str(folder / "gone.dcm"), Group.FAILED),
    ]
    assert "does not allow" in outcome.unsent[0].reason
    assert "cannot be read" in outcome.unsent[1].reason


def test_a_file_that_shrinks_while_it_is_sent_is_not_another_one(folder, connection, monkeypatch) -> None:
    put = connection.s3.put_object

    def shrink(**request):
        if request["Key"] == "ward 7/b.dcm":
            (folder / "b.dcm").write_bytes(b"short")
            body = request["Body"].read()
            assert base64.b64encode(hashlib.sha256(body).digest()).decode() != request["ChecksumSHA256"]
            raise client_error("BadDigest", "the checksum is another one")
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", shrink)
    outcome = sent_from(folder, connection)
    assert [one.name for one in outcome.unsent] == [str(folder / "b.dcm")]


def _link(place: Path, to: Path) -> None:
    place.rename(place.with_name("away"))
    place.symlink_to(to)


def _pipe(place: Path, _to: Path) -> None:
    place.unlink()
    os.mkfifo(place)


@pytest.mark.parametrize(
    ("place", "change", "to"),
    [
        ("b.dcm", _link, "secret/c"),
        ("b.dcm", _pipe, ""),
        ("deep/er", _link, "secret"),
        ("deep", _link, "secret"),
    ],
)
def test_what_takes_the_place_of_a_file_after_it_was_found_is_not_sent(
    folder, tmp_path, connection, place, change, to
) -> None:
    """A writer to the folder has as much time as an upload of thousands of files takes."""
    for name in ("c", "er/c", "a+ü.dcm"):
        (tmp_path / "secret" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "secret" / name).write_bytes(ct(PatientID="a password"))
    candidates = plan([folder]).candidates
    change(folder / place, tmp_path / to)
    outcome = send_all(uploader(connection), candidates, lambda: None)
    assert outcome.unsent
    assert all("cannot be read" in one.reason for one in outcome.unsent)
    assert len(outcome.done) + len(outcome.unsent) == len(candidates)
    assert not [body for body in connection.s3.versions.values() if b"a password" in body]


def test_a_repeated_submission_sends_what_is_left(folder, connection, record, monkeypatch) -> None:
    put = connection.s3.put_object

    def cut_off(**request):
        if len(connection.s3.versions) == 2:
            raise client_error("RequestTimeout", "no network")
        return put(**request)

    monkeypatch.setattr(sending, "each", one_by_one)
    monkeypatch.setattr(connection.s3, "put_object", cut_off)
    first = sent_from(folder, connection, sent=record)
    monkeypatch.setattr(connection.s3, "put_object", put)
    second = sent_from(folder, connection, sent=record)
    assert [one.again for one in second.done] == [True, True, False]
    assert [one.upload_id for one in second.done[:2]] == [one.upload_id for one in first.done]
    assert len(connection.s3.versions) == 3


def one_by_one(work, items, advance):
    done, failed = [], []
    for item in items:
        try:
            done.append((item, work(item)))
        except ClientError as error:
            failed.append((item, str(error)))
    return done, failed


def test_a_changed_file_is_sent_again(folder, connection, record) -> None:
    sent_from(folder, connection, sent=record)
    (folder / "b.dcm").write_bytes(ct(SOPInstanceUID="1.2.9"))
    assert [one.again for one in sent_from(folder, connection, sent=record).done] == [False, True, True]
    assert len(connection.s3.versions) == 4


def test_the_bytes_before_the_last_ones_are_sent_again(folder, connection, record) -> None:
    """The record is of the newest version: a file that goes back is a new version of its object."""
    before = (folder / "b.dcm").read_bytes()
    for body in (before, ct(SOPInstanceUID="1.2.9"), before):
        (folder / "b.dcm").write_bytes(body)
        outcome = sent_from(folder, connection, sent=record)
    assert outcome.done[0].again is False


def test_what_is_no_longer_in_the_bucket_is_sent_again(folder, connection, record) -> None:
    """Erased there, or another deployment of the same name: S3 says so without any right to read."""
    sent_from(folder, connection, sent=record)
    del connection.s3.objects["uploads", "ward 7/b.dcm"]
    second = sent_from(folder, connection, sent=record)
    assert [one.again for one in second.done] == [False, True, True]
    assert second.done[0].version_id == "version-4"


def test_again_sends_what_was_sent(folder, connection, record) -> None:
    sent_from(folder, connection, sent=record)
    assert not [one for one in sent_from(folder, connection, sent=record, again=True).done if one.again]
    assert len(connection.s3.versions) == 6


def test_a_denied_repetition_fails_and_is_not_taken_for_sent(folder, connection, record, monkeypatch) -> None:
    sent_from(folder, connection, sent=record)

    def deny(**_request):
        raise client_error("AccessDenied", "no")

    monkeypatch.setattr(connection.s3, "put_object", deny)
    outcome = sent_from(folder, connection, sent=record)
    assert outcome.done == []
    assert len(outcome.unsent) == 3


def test_a_file_in_a_zip_is_an_upload_like_any_other(folder, connection, record) -> None:
    body = ct(SOPInstanceUID="1.2.7")
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IMAGES/IM1", body)
    outcome = sent_from(folder, connection, sent=record)
    assert outcome.done[1].key == "ward 7/export.zip/IMAGES/IM1"
    assert connection.s3.objects["uploads", "ward 7/export.zip/IMAGES/IM1"] == body
    assert all(one.again for one in sent_from(folder, connection, sent=record).done)


@pytest.fixture
def s3():
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_a_big_file_goes_in_parts_and_its_version_is_known(s3, tmp_path, monkeypatch) -> None:
    client, stubber = s3
    monkeypatch.setattr(sending, "SINGLE_PUT_BYTES", 8)
    monkeypatch.setattr(sending, "PART_BYTES", 6)
    path = tmp_path / "big.dcm"
    path.write_bytes(b"0123456789")
    target = {"Bucket": "uploads", "Key": "big.dcm"}
    multipart = target | {"UploadId": "u"}
    stubber.add_response(
        "create_multipart_upload",
        {"UploadId": "u"},
        target | {"ContentType": "application/dicom", "ChecksumAlgorithm": "CRC32"},
    )
    for number, body in ((1, b"012345"), (2, b"6789")):
        stubber.add_response(
            "upload_part",
            {"ETag": f"e{number}", "ChecksumCRC32": f"c{number}"},
            multipart | {"PartNumber": number, "Body": body, "ChecksumAlgorithm": "CRC32"},
        )
    parts = [{"PartNumber": n, "ETag": f"e{n}", "ChecksumCRC32": f"c{n}"} for n in (1, 2)]
    stubber.add_response(
        "complete_multipart_upload", {"VersionId": "v9"}, multipart | {"MultipartUpload": {"Parts": parts}}
    )
    outcome = send_all(Uploader(client, "uploads"), [Candidate(Source(path, "big.dcm"))], lambda: None)
    assert outcome.unsent == []
    assert outcome.done[0].upload_id == upload_id("big.dcm", "v9")


def test_a_broken_upload_in_parts_is_aborted(s3, tmp_path, monkeypatch) -> None:
    client, stubber = s3
    monkeypatch.setattr(sending, "SINGLE_PUT_BYTES", 1)
    path = tmp_path / "big.dcm"
    path.write_bytes(b"0123456789")
    stubber.add_response("create_multipart_upload", {"UploadId": "u"})
    stubber.add_client_error("upload_part", "AccessDenied")
    stubber.add_response("abort_multipart_upload", {}, {"Bucket": "uploads", "Key": "big.dcm", "UploadId": "u"})
    outcome = send_all(Uploader(client, "uploads"), [Candidate(Source(path, "big.dcm"))], lambda: None)
    assert (len(outcome.done), len(outcome.unsent)) == (0, 1)
