"""A model.tar.gz of unknown origin is read without unpacking or running it, and within bounds."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aggregation.rule import Rule, loads
from functions.domain.artifact import is_name, read_artifact
from functions.domain.errors import InvalidArtifact
from untrusted import archive as archives

METADATA = {
    "name": "ct",
    "version": "1",
    "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "normal", "1": "covid"}}}},
}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = member(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def saved(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


SOUND = saved({"weight": torch.zeros(2), "count": torch.tensor(3), "half": torch.zeros(1, dtype=torch.bfloat16)})


def written(
    path: Path,
    weights: bytes = SOUND,
    then: Callable[[tarfile.TarFile], None] = lambda _: None,
    metadata: object = METADATA,
) -> Path:
    """Write a sound artifact, changed by ``weights``, ``metadata`` and ``then``, and return its path."""
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "model.pth", weights)
        add(tar, "metadata.json", json.dumps(metadata).encode())
        add(tar, "code/inference.py", b"")
        then(tar)
    return path


def test_a_sound_artifact_is_read(tmp_path: Path) -> None:
    found = read_artifact(written(tmp_path / "model.tar.gz"))
    assert (found.name, found.labels) == ("ct", ("normal", "covid"))


def test_how_a_model_reads_studies_is_read(tmp_path: Path) -> None:
    rule = Rule(reference="normal", thresholds={"covid": 0.25})
    path = written(tmp_path / "model.tar.gz", metadata=METADATA | {"study": rule.as_dict()})
    assert loads(read_artifact(path).study) == rule
    assert read_artifact(written(tmp_path / "older.tar.gz")).study == ""


@pytest.mark.parametrize(
    ("study", "problem"),
    [
        (None, "study is None, not an object"),
        ({"version": 1, "rule": "top_mean", "k": 10**9}, "study.k is 1000000000"),
        ({"version": 1, "rule": "top_mean", "thresholds": {"flu": 0.5}}, "'flu', which the model does not have"),
        ({"version": 1, "rule": "top_mean", "code": "import os"}, "study has the field 'code'"),
    ],
)
def test_a_hostile_rule_is_refused(tmp_path: Path, study: object, problem: str) -> None:
    path = written(tmp_path / "model.tar.gz", metadata=METADATA | {"study": study})
    with pytest.raises(InvalidArtifact, match=problem):
        read_artifact(path)


@pytest.mark.parametrize(("name", "character"), [("covid\x1f7", "001F"), ("a\u2028b", "2028")])
def test_a_class_that_reads_as_another_is_refused_with_its_character(tmp_path: Path, name: str, character: str) -> None:
    channels = {"0": "normal", "1": name}
    metadata = METADATA | {"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    with pytest.raises(InvalidArtifact, match=rf"a class with the character U\+{character}"):
        read_artifact(written(tmp_path / "model.tar.gz", metadata=metadata))


def test_the_containers_own_artifact_is_read(artifact: Path) -> None:
    assert read_artifact(artifact).labels == ("normal", "cap", "covid")


@pytest.mark.parametrize(
    ("hostile", "problem"),
    [
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "not a plain file"),
        (member("link", tarfile.LNKTYPE, "model.pth"), "not a plain file"),
        (member("null", tarfile.CHRTYPE), "not a plain file"),
        (member("disk", tarfile.BLKTYPE), "not a plain file"),
        (member("pipe", tarfile.FIFOTYPE), "not a plain file"),
        (member("../outside"), "out of its folder"),
        (member("code/../../outside"), "out of its folder"),
        (member("/etc/outside"), "out of its folder"),
        (member("model.pth"), "one name twice"),
        (member("./metadata.json"), "one name twice"),
        (member("code//inference.py"), "one name twice"),
    ],
    ids=lambda value: f"{value.name}-{value.type.decode()}" if isinstance(value, tarfile.TarInfo) else None,
)
def test_a_hostile_member_is_refused(tmp_path: Path, hostile: tarfile.TarInfo, problem: str) -> None:
    path = written(tmp_path / "model.tar.gz", then=lambda tar: tar.addfile(hostile))
    with pytest.raises(InvalidArtifact, match=problem):
        read_artifact(path)


def large(tar: tarfile.TarFile) -> None:
    add(tar, "large", bytes(50_000))


def many(tar: tarfile.TarFile) -> None:
    for number in range(30):
        tar.addfile(member(str(number)))


@pytest.mark.parametrize("fill", [large, many])
def test_a_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[tarfile.TarFile], None]
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 40_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    with pytest.raises(InvalidArtifact, match="is larger than 40000 bytes or 20 members"):
        read_artifact(written(tmp_path / "model.tar.gz", then=fill))


def test_a_bomb_in_a_header_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    """tarfile reads the whole header of a long name: 64 MB here, and as much as the sender likes."""

    def long_name(tar: tarfile.TarFile) -> None:
        info = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
        info.size = 64 * 1024**2
        tar.addfile(info, io.BytesIO(bytes(info.size)))

    with pytest.raises(InvalidArtifact, match="a header that is not one"):
        read_artifact(written(tmp_path / "model.tar.gz", then=long_name))


class Payload:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle ran')",)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


CODE = pickle.dumps(Payload(), 2)
TENSORLESS = pickle.dumps({}, 2)
HOSTILE_WEIGHTS = {
    "a pickle": CODE,
    "a pickle of the newest protocol": pickle.dumps(Payload()),
    "a pickle that breaks off after it ran": CODE[:-1] + b"\xff",
    "a pickle with a sound zip file behind it": CODE + SOUND,
    "what torch.save made of it": saved({"weight": torch.zeros(2), "more": Payload()}),
    "a module instead of its state dict": saved(torch.nn.Linear(1, 1)),
    "a second pickle beside the first": zipped(("a/data.pkl", TENSORLESS), ("a/other.pkl", CODE)),
    "two pickles, as harmless as the one": zipped(("a/data.pkl", TENSORLESS), ("a/more.PKL", TENSORLESS)),
    "a compressed pickle": zipped(("a/data.pkl", TENSORLESS), method=zipfile.ZIP_DEFLATED),
    "a damaged zip file": b"PK\x03\x04 and no more",
}


@pytest.mark.parametrize("weights", HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS)
def test_weights_that_could_run_code_are_refused(tmp_path: Path, weights: bytes) -> None:
    with pytest.raises(InvalidArtifact, match=r"model\.pth of model\.tar\.gz "):
        read_artifact(written(tmp_path / "model.tar.gz", weights))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_weights_with_a_duplicate_name_are_refused(tmp_path: Path) -> None:
    weights = zipped(("a/data.pkl", CODE), ("a/data.pkl", TENSORLESS))
    with pytest.raises(InvalidArtifact, match="holds one name twice"):
        read_artifact(written(tmp_path / "model.tar.gz", weights))


@pytest.mark.parametrize("changes", [{"name": "lungs (v2)"}, {"version": "1,2"}, {"name": "a\nb"}, {"name": "e\u0301"}])
def test_a_name_that_the_registry_does_not_take_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    """CreateModelPackage refuses it with a pattern, at the end of a run."""
    for name, value in changes.items():
        monkeypatch.setitem(METADATA, name, value)
    with pytest.raises(InvalidArtifact, match="registry does not take: 1 to 64 letters"):
        read_artifact(written(tmp_path / "model.tar.gz"))


@pytest.mark.parametrize("text", ["chest-ct", "Lunge Größe 2", "肺 v2", "a_b.c:d/e=f+g@h"])
def test_names_of_any_script_are_taken(text: str) -> None:
    assert is_name(text)
