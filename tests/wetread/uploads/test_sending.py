"""Which files are sent, under which keys, and that each becomes the Upload that the service will see."""

import os
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.domain.layout import upload_id
from wetread.problems import ConfigProblem
from wetread.uploads import sending
from wetread.uploads.sending import Source, files_below, plan, read_file, upload


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "ward 7"
    for name in ("b.dcm", "deep/a+ü.dcm", "deep/er/c", "manifest.json", "DICOMDIR", ".DS_Store", ".git/config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_folder_is_searched_to_the_bottom_with_its_name_in_front(folder) -> None:
    found = plan([folder])
    assert [one.key for one in found.sources] == ["ward 7/b.dcm", "ward 7/deep/a+ü.dcm", "ward 7/deep/er/c"]
    assert sorted(path.name for path in found.skipped) == [".DS_Store", "DICOMDIR", "manifest.json"]


def test_the_current_folder_has_a_name_too(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert plan([Path()]).sources[0].key == "ward 7/b.dcm"


def test_a_named_file_is_always_sent(folder) -> None:
    assert plan([folder / "manifest.json", folder / ".DS_Store"]).sources == (
        Source(folder / "manifest.json", "manifest.json"),
        Source(folder / ".DS_Store", ".DS_Store"),
    )


def test_a_symbolic_link_keeps_its_own_name(folder) -> None:
    (folder / "link.dcm").symlink_to(folder / "b.dcm")
    assert plan([folder / "link.dcm"]).sources[0].key == "link.dcm"


def test_links_and_pipes_in_a_folder_are_left_out_whatever_they_are_called(folder, tmp_path) -> None:
    (tmp_path / "secret.txt").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.txt")
    (folder / "deep/near.dcm").symlink_to(folder / "b.dcm")
    (folder / "nowhere.dcm").symlink_to(tmp_path / "gone")
    (folder / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(folder / "endless.dcm")
    found = plan([folder])
    assert [one.key for one in found.sources] == ["ward 7/b.dcm", "ward 7/deep/a+ü.dcm", "ward 7/deep/er/c"]
    left_out = {"innocent.dcm", "near.dcm", "nowhere.dcm", "endless.dcm", "elsewhere"}
    assert {path.name for path in found.irregular} == left_out
    assert {path.name for path in files_below(folder)} >= {"b.dcm", "manifest.json"}
    assert not {path.name for path in files_below(folder)} & {"innocent.dcm", "endless.dcm", "nowhere.dcm"}


def test_a_named_link_out_of_its_folder_is_refused_as_a_shell_names_links_too(folder, tmp_path) -> None:
    (tmp_path / "secret.txt").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        plan(sorted(folder.glob("*.dcm")))


def test_a_named_link_to_a_folder_elsewhere_is_refused_too(folder, tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/id_rsa").write_text("a key")
    (folder / "series").symlink_to(tmp_path / "home")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        plan(sorted(folder.glob("*")))
    (folder / "near").symlink_to(folder / "deep")
    assert [one.key for one in plan([folder / "near"]).sources] == ["deep/a+ü.dcm", "deep/er/c"]


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
        (tmp_path / "secret" / name).write_text("a password")
    sources = plan([folder]).sources
    change(folder / place, tmp_path / to)
    done, failed = upload(connection.s3, "uploads", sources, lambda: None)
    assert failed
    assert all("cannot be read" in one.reason for one in failed)
    assert len(done) + len(failed) == len(sources)
    assert b"a password" not in connection.s3.versions.values()


def test_a_folder_that_cannot_be_read_is_no_empty_one(folder, monkeypatch) -> None:
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "er":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = plan([folder])
    assert found.unread == (folder / "deep/er",)
    assert [one.key for one in found.sources] == ["ward 7/b.dcm", "ward 7/deep/a+ü.dcm"]
    with pytest.raises(ConfigProblem, match=r"deep/er' cannot be read: Permission denied"):
        list(files_below(folder))


def test_folders_may_be_nested_deeper_than_python_calls_itself(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.dcm").touch()
        with pytest.raises(ConfigProblem, match=r"S3 takes 1024"):
            plan([tmp_path])
    finally:
        os.chdir(tmp_path)
        subprocess.run(["rm", "-r", "d"], check=True)  # pytest's own removal calls itself


def test_only_regular_files_of_a_bounded_size_are_read(folder, monkeypatch) -> None:
    assert read_file(folder / "b.dcm") == b"b.dcm"
    os.mkfifo(folder / "endless.dcm")
    for endless in (folder / "endless.dcm", Path("/dev/zero")):
        with pytest.raises(ConfigProblem, match="no regular file"):
            read_file(endless)
    monkeypatch.setattr(sending, "MOST_READ_BYTES", 4)
    with pytest.raises(ConfigProblem, match="has 5 bytes"):
        read_file(folder / "b.dcm")


def test_a_link_out_of_its_folder_is_not_read_for_an_answer(folder, tmp_path) -> None:
    (tmp_path / "secret.txt").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.txt")
    (folder / "near.dcm").symlink_to(folder / "b.dcm")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        read_file(folder / "innocent.dcm")
    assert read_file(folder / "near.dcm") == b"b.dcm"


def test_a_pipe_is_never_waited_for(folder) -> None:
    os.mkfifo(folder / "endless.dcm")
    with pytest.raises(ConfigProblem, match="is a pipe or a device"):
        plan([folder / "endless.dcm"])


@pytest.mark.parametrize("prefix", ["x/y", "/x/y/"])
def test_the_prefix_comes_first(folder, prefix) -> None:
    assert plan([folder / "b.dcm"], prefix).sources[0].key == "x/y/b.dcm"


def test_what_cannot_be_sent_is_named(folder, tmp_path) -> None:
    with pytest.raises(ConfigProblem, match="absent"):
        plan([tmp_path / "absent"])
    with pytest.raises(ConfigProblem, match=r"2 files would get the key 'b\.dcm'"):
        plan([folder / "b.dcm", folder / "deep/../b.dcm"])
    with pytest.raises(ConfigProblem, match="1024"):
        plan([folder / "b.dcm"], "p" * 1030)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigProblem, match="nothing to submit"):
        plan([tmp_path / "empty"])


def test_files_become_uploads_in_order(folder, connection) -> None:
    steps = []
    sources = plan([folder]).sources
    done, failed = upload(connection.s3, "uploads", sources, lambda: steps.append(1))
    assert failed == []
    assert [one.source for one in done] == list(sources)
    assert [one.upload_id for one in done] == [upload_id(one.source.key, one.version_id) for one in done]
    assert sorted(connection.s3.versions.values()) == [b"b.dcm", "deep/a+ü.dcm".encode(), b"deep/er/c"]
    assert len(steps) == 3


def test_one_failing_file_does_not_stop_the_others(folder, connection, monkeypatch) -> None:
    put = connection.s3.put_object

    def deny(**request):
        if request["Key"] == "ward 7/b.dcm":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(connection.s3, "put_object", deny)
    sources = [*plan([folder]).sources, Source(folder / "gone.dcm", "gone.dcm")]
    done, failed = upload(connection.s3, "uploads", sources, lambda: None)
    assert len(done) == 2
    assert [one.source.key for one in failed] == ["ward 7/b.dcm", "gone.dcm"]
    assert "does not allow" in failed[0].reason
    assert "cannot be read" in failed[1].reason


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
    done, failed = upload(client, "uploads", [Source(path, "big.dcm")], lambda: None)
    assert failed == []
    assert done[0].upload_id == upload_id("big.dcm", "v9")


def test_a_broken_upload_in_parts_is_aborted(s3, tmp_path, monkeypatch) -> None:
    client, stubber = s3
    monkeypatch.setattr(sending, "SINGLE_PUT_BYTES", 1)
    path = tmp_path / "big.dcm"
    path.write_bytes(b"0123456789")
    stubber.add_response("create_multipart_upload", {"UploadId": "u"})
    stubber.add_client_error("upload_part", "AccessDenied")
    stubber.add_response("abort_multipart_upload", {}, {"Bucket": "uploads", "Key": "big.dcm", "UploadId": "u"})
    done, failed = upload(client, "uploads", [Source(path, "big.dcm")], lambda: None)
    assert (len(done), len(failed)) == (0, 1)
