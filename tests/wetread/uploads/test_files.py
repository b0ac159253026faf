"""Files are read without following a link out of what was named, nor waiting for a pipe."""

import os
from pathlib import Path

import pytest

from wetread.problems import ConfigProblem
from wetread.uploads import files
from wetread.uploads.files import Source, check_keys, files_below, read_file


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "ward 7"
    for name in ("b.dcm", "deep/a+ü.dcm", "deep/er/c", "manifest.json", "DICOMDIR", ".DS_Store", ".git/config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_only_regular_files_are_below_a_folder(folder, tmp_path) -> None:
    (folder / "innocent.dcm").symlink_to("/etc/passwd")
    (folder / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(folder / "endless.dcm")
    names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    assert names == [".DS_Store", "DICOMDIR", "b.dcm", "manifest.json", "deep/a+ü.dcm", "deep/er/c"]


def test_a_folder_that_cannot_be_read_is_no_empty_one(folder, unreadable) -> None:
    unreadable("er")
    with pytest.raises(ConfigProblem, match=r"deep/er' cannot be read: Permission denied"):
        list(files_below(folder))


def test_keys_are_different_and_such_as_s3_takes(tmp_path) -> None:
    for keys, message in (
        (["a", "a"], "2 files would get the key 'a'"),
        (["k" * 1025], "1024"),
        (["\udce9"], "Unicode"),
    ):
        with pytest.raises(ConfigProblem, match=message):
            check_keys([Source(tmp_path, key) for key in keys])


def test_only_regular_files_of_a_bounded_size_are_read(folder, monkeypatch) -> None:
    assert read_file(folder / "b.dcm") == b"b.dcm"
    os.mkfifo(folder / "endless.dcm")
    for endless in (folder / "endless.dcm", Path("/dev/zero")):
        with pytest.raises(ConfigProblem, match="no regular file"):
            read_file(endless)
    monkeypatch.setattr(files, "MOST_READ_BYTES", 4)
    with pytest.raises(ConfigProblem, match="has 5 bytes"):
        read_file(folder / "b.dcm")


def test_a_link_out_of_its_folder_is_not_read_for_an_answer(folder, tmp_path) -> None:
    (tmp_path / "secret.txt").write_text("a password")
    (folder / "innocent.dcm").symlink_to(tmp_path / "secret.txt")
    (folder / "near.dcm").symlink_to(folder / "b.dcm")
    with pytest.raises(ConfigProblem, match="leads out of its folder"):
        read_file(folder / "innocent.dcm")
    assert read_file(folder / "near.dcm") == b"b.dcm"
