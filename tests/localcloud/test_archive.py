from __future__ import annotations

import io
import tarfile

import pytest

from localcloud.archive import ArchiveError, pack, unpack
from untrusted import archive as checks


def test_what_was_packed_is_unpacked(tmp_path):
    (tmp_path / "model/code").mkdir(parents=True)
    (tmp_path / "model/model.pth").write_bytes(b"weights")
    (tmp_path / "model/code/inference.py").write_text("pass")
    pack(tmp_path / "model", tmp_path / "model.tar.gz")

    unpack(tmp_path / "model.tar.gz", tmp_path / "out")

    assert (tmp_path / "out/model.pth").read_bytes() == b"weights"
    assert (tmp_path / "out/code/inference.py").read_text() == "pass"


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (member("../outside"), "out of its folder"),
        (member("/tmp/outside"), "out of its folder"),
        (member("link", tarfile.SYMTYPE, "/etc"), "links"),
        (member("link", tarfile.SYMTYPE, "harmless"), "links"),
        (member("link", tarfile.LNKTYPE, "harmless"), "links"),
        (member("null", tarfile.CHRTYPE), "devices"),
        (member("./harmless"), "one name twice"),
    ],
    ids=lambda value: f"{value.name}-{value.type.decode()}" if isinstance(value, tarfile.TarInfo) else None,
)
def test_a_hostile_archive_is_refused_before_anything_is_written(tmp_path, hostile, message):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member("harmless"))
        tar.addfile(hostile)
    with pytest.raises(ArchiveError, match=message):
        unpack(archive, tmp_path / "a/b")
    assert not list((tmp_path / "a/b").iterdir())
    assert not (tmp_path / "a/outside").exists()


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_UNPACKED_BYTES", 40_000)
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        large = member("large")
        large.size = 50_000
        tar.addfile(large, io.BytesIO(bytes(50_000)))
    with pytest.raises(ArchiveError, match="larger than 40000 bytes"):
        unpack(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken gzip"])
def test_something_else_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.tar\.gz is no usable tar archive"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
