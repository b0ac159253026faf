"""Archives from elsewhere are opened within bounds, and leave nothing on the disk."""

import gzip
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from tests.fakes.dicom import ct
from wetread.uploads import archives
from wetread.uploads.archives import Archive, Member, Unopened, unpacked
from wetread.uploads.files import Source

GOOD = ct()


def zipped(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Archive:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return Archive(Source(path, "key"))


def gzipped(path: Path, body: bytes) -> Member:
    path.write_bytes(body)
    return Member(Archive(Source(path, "key")), None)


def read(member: Member | str) -> bytes:
    assert isinstance(member, Member)
    with unpacked(member) as body:
        return body.read()


def problem(archive: Archive) -> str:
    ((_, sentence),) = archive.members()
    assert isinstance(sentence, str)
    return sentence


def test_members_are_read_as_they_were_packed(tmp_path) -> None:
    packed = {"a": GOOD, "b/c": GOOD + b"more"}
    archive = zipped(tmp_path / "x.zip", packed)
    assert {name: read(member) for name, member in archive.members()} == packed
    assert read(gzipped(tmp_path / "x.gz", gzip.compress(GOOD))) == GOOD


def test_of_what_is_not_dicom_only_the_start_is_unpacked(tmp_path) -> None:
    assert len(read(gzipped(tmp_path / "x.gz", gzip.compress(bytes(10 * 1024**2))))) == 64 * 1024


def test_many_threads_read_one_archive(tmp_path) -> None:
    archive = zipped(tmp_path / "x.zip", {str(number): GOOD + bytes([number]) for number in range(64)})
    found: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda name=name, member=member: found.setdefault(name, read(member)))
        for name, member in archive.members()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {str(number): GOOD + bytes([number]) for number in range(64)}
    assert archive._file is None, "closed after its last member"


def test_a_long_file_is_in_a_temporary_file_without_a_name(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "IN_MEMORY_BYTES", 64)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with unpacked(gzipped(tmp_path / "x.gz", gzip.compress(GOOD))) as body:
        assert body.read() == GOOD
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_bomb_ends_at_the_bound(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "MOST_UNPACKED_BYTES", 1000_000)
    with pytest.raises(OSError, match="more than 1,000,000"):
        read(gzipped(tmp_path / "x.gz", gzip.compress(GOOD + bytes(3_000_000))))
    assert "at most 1,000,000 are read" in problem(zipped(tmp_path / "x.zip", {"a": GOOD + bytes(3_000_000)}))


def test_a_member_never_unpacks_to_more_than_the_archive_declares(tmp_path) -> None:
    archive = zipped(tmp_path / "x.zip", {"a": GOOD + bytes(3_000_000)})
    body = bytearray((tmp_path / "x.zip").read_bytes())
    at = body.rindex(b"PK\x01\x02")
    body[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(body)
    ((_, member),) = archive.members()
    with pytest.raises(OSError, match="damaged"):
        read(member)


def test_many_files_that_unpack_to_a_thousandfold_are_not_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "ALWAYS_UNPACKED_BYTES", 2_000_000)
    found = zipped(tmp_path / "x.zip", {str(number): GOOD + bytes(900_000) for number in range(4)}).members()
    assert [isinstance(one, Member) for _, one in found] == [True, True, False, False]
    assert "more bytes than are read" in str(found[3][1])


def test_more_members_than_are_opened(tmp_path, monkeypatch) -> None:
    archive = zipped(tmp_path / "x.zip", dict.fromkeys("abcd", b""))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(Unopened, match="It has 4 files; at most 3"):
        archive.members()
    monkeypatch.setattr(archives, "MOST_DIRECTORY_BYTES", 100)
    with pytest.raises(Unopened, match="damaged"):
        archive.members()


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_packings_are_not_opened(tmp_path, packing) -> None:
    """LZMA takes the memory that an archive asks for."""
    assert "another way than stored or deflated" in problem(zipped(tmp_path / "x.zip", {"a": GOOD}, packing))


def test_an_encrypted_member_is_named(tmp_path) -> None:
    archive = zipped(tmp_path / "x.zip", {"a": GOOD})
    body = bytearray((tmp_path / "x.zip").read_bytes())
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(body)
    assert "encrypted" in problem(archive)


@pytest.mark.parametrize("end", [4, 11, -100, -3])
def test_a_gzip_file_that_ends_early_is_damaged(tmp_path, end) -> None:
    with pytest.raises(OSError, match="ends early"):
        read(gzipped(tmp_path / "x.gz", gzip.compress(GOOD)[:end]))


@pytest.mark.parametrize("place", range(0, len(GOOD) // 4, 7))
def test_damage_anywhere_in_a_zip_is_a_named_error_or_none(tmp_path, place) -> None:
    archive = zipped(tmp_path / "x.zip", {"a": GOOD})
    body = bytearray((tmp_path / "x.zip").read_bytes())
    body[place % len(body)] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(body)
    try:
        for _, member in archive.members():
            if isinstance(member, Member):
                read(member)
    except (OSError, Unopened):
        return


def test_an_archive_in_whose_place_a_link_has_come_is_not_read(tmp_path) -> None:
    archive = zipped(tmp_path / "x.zip", {"a": GOOD})
    archive.source = Source(tmp_path / "x.zip", "key", tmp_path)
    ((_, member),) = archive.members()
    (tmp_path / "x.zip").rename(tmp_path / "y.zip")
    (tmp_path / "x.zip").symlink_to("y.zip")
    with pytest.raises(OSError, match="symbolic links"):
        read(member)
