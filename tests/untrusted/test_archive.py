"""The readers of an untrusted model.tar.gz: functions, container, local cloud.

They have one check (untrusted/archive.py), and each has its own error for what fails it.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.domain import artifact, weights
from functions.domain.artifact import read_artifact
from functions.domain.errors import CodeInWeights, InvalidArtifact
from localcloud.archive import ArchiveError
from localcloud.archive import unpack as unpack_locally
from model_code.artifacts import packing
from model_code.errors import ArtifactError
from untrusted import archive

BLOCK = 512
END = bytes(2 * BLOCK)
METADATA = {"name": "n", "version": "1", "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "a"}}}}}


def header(name: bytes, size: int = 0, kind: bytes = b"0", raw_size: bytes = b"") -> bytes:
    """Return a member's header with a right checksum, whatever else is wrong."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:124] = b"0000000\0" * 2
    block[124:136] = raw_size or b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def file(name: bytes, content: bytes = b"") -> bytes:
    return header(name, len(content)) + padded(content)


def record(key: bytes, value: bytes) -> bytes:
    """Return one record of a pax header, with its own length."""
    body = b" %s=%s\n" % (key, value)
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    content = b"".join(record(*one) for one in records)
    return header(b"pax", len(content), kind) + padded(content)


def zipped(pickled: bytes, name: str = "a/data.pkl") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(name, pickled)
    return buffer.getvalue()


WEIGHTS = zipped(pickle.dumps({}, 2))
SOUND = b"".join(
    file(name, content)
    for name, content in (
        (b"model.pth", WEIGHTS),
        (b"metadata.json", json.dumps(METADATA).encode()),
        (b"code/inference.py", b""),
        (b"code/requirements.txt", b""),
    )
)


def sparse(block: bytes) -> bytes:
    """Return an old sparse file's header, with a map that continues in the next block."""
    changed = bytearray(block)
    changed[257:265] = b"ustar  \0"
    changed[386:482] = b"00000000001\0" * 8
    changed[482] = 1
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def negative(number: int) -> bytes:
    """Return a negative size in GNU tar's base-256 encoding."""
    return b"\xff" + (-number).to_bytes(11, "big", signed=True)


TAKEN = {
    "sound": b"",
    "a folder": header(b"forms/", kind=b"5"),
    "a contiguous file": header(b"more", kind=b"7"),
    "a long name": pax((b"path", b"a/" * 100 + b"x")) + header(b"x"),
    "other letters": file("größe.txt".encode()),
    "a folder and what is in it": header(b"a", kind=b"5") + file(b"a/b"),
}
REFUSED = {
    "NUL in a pax path": pax((b"path", b"a\0b")) + header(b"a"),
    "NUL in a global pax path": pax((b"path", b"a\0b"), kind=b"g") + header(b"a"),
    "NUL in the middle of a pax folder": pax((b"path", b"a\0b/c")) + header(b"a"),
    "a line end in a path": pax((b"path", b"a\nb")) + header(b"a"),
    "a terminal's command in a path": file(b"\x1b[2J"),
    "a way out on another system": file(b"..\\..\\a"),
    "bytes that are no text": file(b"\xff\xfe"),
    "a path longer than any file's": pax((b"path", b"x" * 256)) + header(b"x"),
    "a path of many short parts": pax((b"path", b"a/" * 3000 + b"x")) + header(b"x"),
    "a pax size below zero": pax((b"size", b"-512")) + header(b"a"),
    "a size below zero": header(b"a", raw_size=negative(512)),
    "a pax header below zero": header(b"p", kind=b"x", raw_size=negative(1024)) + header(b"a"),
    "a long name below zero": header(b"L", kind=b"L", raw_size=negative(512)) + header(b"a"),
    "a sparse file": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"x"))
    + header(b"a", 512)
    + padded(b"1\n0\n512\n"),
    "a sparse map of nonsense": pax((b"GNU.sparse.map", b"a,b,c"), (b"GNU.sparse.size", b"9")) + header(b"a"),
    "a file that is a folder too": file(b"model.pth/x"),
    "a folder that is a file too": file(b"a/b") + file(b"a"),
    "a link": header(b"a", kind=b"2"),
    "a hard link": header(b"a", kind=b"1"),
    "a way out": file(b"../a"),
    "a way out by pax": pax((b"path", b"/etc/a")) + header(b"a"),
    "a file that is a folder by its name": file(b"a/."),
    "a time that overflows": pax((b"mtime", b"1" * 20)) + header(b"a"),
    "a folder's time that overflows": pax((b"mtime", b"1" * 20)) + header(b"a", kind=b"5"),
    "a time without an end": pax((b"mtime", b"inf")) + header(b"a"),
    "a time that is no number": pax((b"mtime", b"nan")) + header(b"a"),
    "a time before all": pax((b"mtime", b"-1e18")) + header(b"a"),
    "twice": file(b"./model.pth", WEIGHTS),
    "more than it says": header(b"a", raw_size=b"\x80" + (2**40).to_bytes(11, "big")),
}

# Each is refused unread: the first takes tarfile hours, the next two memory for their whole maps.
ENDLESS = {
    "a pax header of digits": header(b"p", archive.MAX_READ_BYTES, b"x") + b"1" * archive.MAX_READ_BYTES,
    "a sparse map without an end": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    + header(b"a", 2**32)
    + padded(b"999999999\n" + b"0\n" * archive.MAX_HEADERS_BYTES),
    "an old sparse map without an end": sparse(header(b"a", kind=b"S"))
    + (b"00000000001\0" * 42 + b"\1" + bytes(7)) * (2 * archive.MAX_HEADERS_BYTES // BLOCK),
    "a long name of a megabyte": header(b"L", 2**20, b"L") + b"a" * 2**20 + header(b"a"),
}

# Python's releases differ about these; all readers must agree.
DOUBTFUL = {
    "a pax size that is no number": pax((b"size", b"many")) + header(b"a"),
    "a pax size of five thousand digits": pax((b"size", b"9" * 5000)) + header(b"a"),
    "a sparse map without numbers": pax((b"GNU.sparse.numblocks", b"x"), (b"GNU.sparse.offset", b"")) + header(b"a"),
}


def packed(path: Path, raw: bytes) -> Path:
    path.write_bytes(gzip.compress(raw, 1, mtime=0))
    return path


def container(path: Path, folder: Path) -> bool:
    """Return whether the container unpacks it; missing files are checked later."""
    try:
        packing.unpack(path, folder)
    except ArtifactError as error:
        return "The model folder lacks" in str(error)
    return True


def service(path: Path) -> bool:
    """Return whether the functions read all members; their content is checked later."""
    try:
        with archive.opened(path) as tar:
            archive.checked(tar)
    except (archive.HostileArchive, *archive.DAMAGED):
        return False
    return True


def local(path: Path, folder: Path) -> bool:
    try:
        unpack_locally(path, folder)
    except ArchiveError:
        return False
    return True


def verdicts(path: Path, folder: Path) -> dict[str, bool]:
    return {
        "service": service(path),
        "container": container(path, folder / "container"),
        "local": local(path, folder / "local"),
    }


@pytest.mark.parametrize("more", TAKEN.values(), ids=TAKEN)
def test_what_is_harmless_is_taken_by_every_reader(tmp_path: Path, more: bytes) -> None:
    path = packed(tmp_path / "model.tar.gz", SOUND + more + END)
    assert set(verdicts(path, tmp_path).values()) == {True}
    assert read_artifact(path).labels == ("a",)


@pytest.mark.parametrize("more", REFUSED.values(), ids=REFUSED)
def test_what_is_hostile_is_refused_by_name_by_every_reader(tmp_path: Path, more: bytes) -> None:
    path = packed(tmp_path / "model.tar.gz", SOUND + more + END)
    assert set(verdicts(path, tmp_path).values()) == {False}
    assert not (tmp_path / "container").exists()
    with pytest.raises(InvalidArtifact, match=r"model\.tar\.gz"):
        read_artifact(path)


@pytest.mark.parametrize("more", ENDLESS.values(), ids=ENDLESS)
def test_headers_without_an_end_are_not_read_to_it(tmp_path: Path, more: bytes) -> None:
    path = packed(tmp_path / "model.tar.gz", SOUND + more + header(b"b") + END)
    with pytest.raises(InvalidArtifact, match="a header that is not one"):
        read_artifact(path)
    with pytest.raises(ArtifactError, match="a header that is not one"):
        packing.unpack(path, tmp_path / "container")
    with pytest.raises(ArchiveError, match="a header that is not one"):
        unpack_locally(path, tmp_path / "local")


def test_a_thousand_members_with_the_longest_names_fit_the_bound_of_headers(tmp_path: Path) -> None:
    names = [b"%03d/" % number + b"x" * 251 for number in range(archive.MAX_MEMBERS - 4)]
    more = b"".join(pax((b"path", name), (b"mtime", b"1777777777.123456789")) + header(b"x") for name in names)
    path = packed(tmp_path / "model.tar.gz", SOUND + more + END)
    assert set(verdicts(path, tmp_path).values()) == {True}


@pytest.mark.parametrize("more", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_doubtful_is_the_same_to_every_reader(tmp_path: Path, more: bytes) -> None:
    path = packed(tmp_path / "model.tar.gz", SOUND + more + END)
    assert len(set(verdicts(path, tmp_path).values())) == 1
    read_or_refused(path)


Mutate = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Mutate:
    """Overwrite, cut out or double bytes at some places; half of them in numbers of tar, pax and zip."""
    changes = draw(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 600)), max_size=4))

    def mutate(content: bytes) -> bytes:
        for place, new, cut in changes:
            at = int(place * len(content))
            content = content[:at] + new + content[at + (cut if cut < 30 else len(new)) :]
        return content

    return mutate


FUZZED = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def headers_repaired(raw: bytes) -> bytes:
    """Correct the checksums, so that damage in headers is not found by them alone."""
    blocks = [bytearray(raw[start : start + BLOCK]) for start in range(0, len(raw), BLOCK)]
    for block in blocks:
        if len(block) == BLOCK and block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


@FUZZED
@given(
    more=st.sampled_from([*TAKEN.values(), *REFUSED.values(), *DOUBTFUL.values()]),
    damage=damages(),
    repaired=st.booleans(),
)
def test_no_damage_within_makes_the_readers_differ_or_fail_otherwise(
    more: bytes, damage: Mutate, repaired: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = damage(SOUND + more) + END
    folder = tmp_path_factory.mktemp("within")
    path = packed(folder / "model.tar.gz", headers_repaired(raw) if repaired else raw)
    found = verdicts(path, folder)
    assert len(set(found.values())) == 1, found
    read_or_refused(path)


@FUZZED
@given(damage=damages())
def test_no_damage_of_the_compressed_file_does(damage: Mutate, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("outside")
    path = packed(folder / "model.tar.gz", SOUND + END)
    path.write_bytes(damage(path.read_bytes()))
    found = verdicts(path, folder)
    assert len(set(found.values())) == 1, found
    read_or_refused(path)


def test_an_odd_escape_in_a_pickle_is_no_warning_of_ours() -> None:
    with pytest.raises(CodeInWeights, match="bare pickle"):
        weights.check(io.BytesIO(b"S'\\q'\n."))


@FUZZED
@given(damage=damages())
def test_damaged_weights_are_taken_or_refused_by_name(damage: Mutate) -> None:
    try:
        weights.check(io.BytesIO(damage(WEIGHTS)))
    except CodeInWeights as error:
        assert str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "metadata", [b"", b"[" * 100_000, b"\xff", b"null", b"[]", b'{"name": 1}', b'{"network_data_format": []}']
)
def test_metadata_that_are_not_metadata_are_refused_by_name(tmp_path: Path, metadata: bytes) -> None:
    members = file(b"model.pth", WEIGHTS) + file(b"metadata.json", metadata) + file(b"code/inference.py")
    with pytest.raises(InvalidArtifact, match=r"model\.tar\.gz"):
        read_artifact(packed(tmp_path / "model.tar.gz", members + END))


def described(**changes: object) -> bytes:
    """Return an artifact's members, with other names, versions or classes ("labels": channel_def)."""
    labels = changes.pop("labels", {"0": "a"})
    document = METADATA | {"network_data_format": {"outputs": {"pred": {"channel_def": labels}}}} | changes
    return file(b"model.pth", WEIGHTS) + file(b"metadata.json", json.dumps(document).encode()) + file(SCRIPT)


SCRIPT = b"code/inference.py"
LONG = "x" * 65


@pytest.mark.parametrize(
    "changes",
    [
        {"name": LONG},
        {"name": ""},
        {"name": "\ud800"},
        {"version": LONG},
        {"labels": {}},
        {"labels": {"0": "a", "1": "a"}},
        {"labels": {"0": "a", "1": ""}},
        {"labels": {"0": "a", "2": "b"}},
        {"labels": {"0": "a", "1": LONG}},
        {"labels": {"0": "a", "1": "\udfff"}},
        {"labels": {str(number): str(number) for number in range(1001)}},
        {"labels": ["a", "b"]},
    ],
)
def test_what_no_answer_could_repeat_is_not_registered(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArtifact, match=r"metadata\.json of model\.tar\.gz"):
        read_artifact(packed(tmp_path / "model.tar.gz", described(**changes) + END))


def test_classes_are_in_the_order_of_the_outputs(tmp_path: Path) -> None:
    path = packed(tmp_path / "model.tar.gz", described(labels={"1": "b", "0": "a"}) + END)
    assert read_artifact(path).labels == ("a", "b")


def read_or_refused(path: Path) -> None:
    try:
        read_artifact(path)
    except InvalidArtifact as error:
        assert path.name in str(error)  # noqa: PT017


def test_metadata_is_read_in_one_piece() -> None:
    assert artifact.MAX_METADATA_BYTES <= archive.MAX_READ_BYTES
    assert tarfile.TarError in archive.DAMAGED
