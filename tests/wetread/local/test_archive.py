from __future__ import annotations

import io
import tarfile

import pytest

from wetread.local.archive import ArchiveError, pack, unpack


def test_what_was_packed_is_unpacked(tmp_path):
    (tmp_path / "model/code").mkdir(parents=True)
    (tmp_path / "model/model.pth").write_bytes(b"weights")
    (tmp_path / "model/code/inference.py").write_text("pass")
    pack(tmp_path / "model", tmp_path / "model.tar.gz")

    unpack(tmp_path / "model.tar.gz", tmp_path / "out")

    assert (tmp_path / "out/model.pth").read_bytes() == b"weights"
    assert (tmp_path / "out/code/inference.py").read_text() == "pass"


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside"])
def test_nothing_is_written_outside_the_folder(tmp_path, name):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())

    folder = tmp_path / "a/b"
    if name.startswith("/"):
        unpack(archive, folder)  # taken as relative
        assert (folder / "tmp/outside").exists()
    else:
        with pytest.raises(ArchiveError, match="outside"):
            unpack(archive, folder)
    assert not (tmp_path / "a/outside").exists()


def test_a_link_to_outside_is_refused(tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(ArchiveError, match="link"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken gzip"])
def test_something_else_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.tar\.gz is no usable tar archive"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
