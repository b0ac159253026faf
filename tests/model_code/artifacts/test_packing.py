"""model.tar.gz: equal bytes for equal models, nothing hostile out of it, and code that runs by itself."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_code.__main__ import main
from model_code.artifacts import packing
from model_code.artifacts.artifact import LAYOUT
from model_code.artifacts.packing import pack, unpack
from model_code.container import Container
from model_code.errors import ArtifactError
from untrusted import archive as archives


@pytest.fixture(scope="module")
def archive(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "model.tar.gz"
    pack(container.model_dir, path)
    return path


def test_the_layout(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert set(LAYOUT) <= set(names)
    assert {name for name in names if name not in LAYOUT} == {
        f"code/{path.relative_to(packing.SOURCE.parent)}"
        for path in [*packed_modules(), *(path for room in packing.ROOMS for path in room.glob("*.py"))]
    }


def packed_modules() -> list[Path]:
    folders = [packing.SOURCE / name for name in packing.PACKED if not name.endswith(".py")]
    modules = [packing.SOURCE / name for name in packing.PACKED if name.endswith(".py")]
    return modules + [path for folder in folders for path in folder.glob("*.py")]


def test_packing_twice_gives_the_same_bytes(container: Container, archive: Path, tmp_path: Path) -> None:
    pack(container.model_dir, tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()


def test_what_is_packed_is_unpacked(container: Container, archive: Path, tmp_path: Path) -> None:
    unpack(archive, tmp_path)
    for name in LAYOUT:
        assert (tmp_path / name).read_bytes() == (container.model_dir / name).read_bytes()


def test_an_incomplete_folder_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"lacks model\.pth, metadata\.json"):
        pack(tmp_path, tmp_path / "model.tar.gz")


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (member("../outside"), "leads out of its folder"),
        (member("code/../../outside"), "leads out of its folder"),
        (member("/etc/outside"), "leads out of its folder"),
        (member("model.pth", tarfile.SYMTYPE, link="/etc/passwd"), "not a plain file"),
        (member("code", tarfile.SYMTYPE, link=".."), "not a plain file"),
        (member("model.pth", tarfile.LNKTYPE, link="../outside"), "not a plain file"),
        (member("null", tarfile.CHRTYPE), "not a plain file"),
        (member("pipe", tarfile.FIFOTYPE), "not a plain file"),
        (member("./harmless"), "one name twice"),
    ],
    ids=lambda value: f"{value.name}-{value.type.decode()}" if isinstance(value, tarfile.TarInfo) else None,
)
def test_hostile_members_are_refused_before_anything_is_written(
    tmp_path: Path, hostile: tarfile.TarInfo, message: str
) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.addfile(member("harmless", size=2), io.BytesIO(b"ok"))
        tar.addfile(hostile)
    with pytest.raises(ArtifactError, match=message):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "outside").exists()


def large(tar: tarfile.TarFile) -> None:
    tar.addfile(member("large", size=5000), io.BytesIO(bytes(5000)))


def many(tar: tarfile.TarFile) -> None:
    for number in range(30):
        tar.addfile(member(str(number)))


@pytest.mark.parametrize("fill", [large, many])
def test_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[tarfile.TarFile], None]
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 4000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        fill(tar)
    with pytest.raises(ArtifactError, match="larger than 4000 bytes or 20 members"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_bomb_in_a_header_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    """tarfile reads the header of a long name whole: 64 MB here, and as much as the sender likes."""
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        long_name = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=64 * 1024**2)
        tar.addfile(long_name, io.BytesIO(bytes(long_name.size)))
        tar.addfile(member("harmless"))
    with pytest.raises(ArtifactError, match="a header that is not one"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("content", [b"", b"PK not a tar", gzip.compress(b"not a tar")], ids=["empty", "text", "gzip"])
def test_bytes_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")


ELSEWHERE = """
import json, sys
import inference, model_code
assert model_code.__file__ == sys.argv[1] + "/code/model_code/__init__.py", model_code.__file__
with open(sys.argv[2], "rb") as file:
    body = bytearray(file.read())
model = inference.model_fn(sys.argv[1])
instance = inference.input_fn(body, "application/dicom")
print(inference.output_fn(inference.predict_fn(instance, model), "application/json").decode())
# An editable installation finds what the artifact lacks in the working tree.
ours = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("model_code")}
assert all(file.startswith(sys.argv[1]) for file in ours.values()), ours
"""


def test_the_packed_code_runs_where_model_code_is_not_installed(archive: Path, body: bytes, tmp_path: Path) -> None:
    """As on AWS's PyTorch inference toolkit: the code folder on PYTHONPATH, the script imported as ``inference``."""
    unpack(archive, tmp_path / "model")
    (tmp_path / "slice.dcm").write_bytes(body)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", ELSEWHERE, str(tmp_path / "model"), str(tmp_path / "slice.dcm")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "model" / "code")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["Class"] == "covid"


def test_requirements_ask_for_nothing(container: Container) -> None:
    lines = (container.model_dir / "code" / "requirements.txt").read_text().splitlines()
    assert lines
    assert all(line.startswith("#") for line in lines)


def test_the_commands_pack_and_check(container: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "model.tar.gz")
    assert main(["pack", str(container.model_dir), path]) == 0
    assert main(["check", path]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (printed["Name"], printed["Labels"]) == ("tiny", ["normal", "cap", "covid"])
    assert main(["check", str(tmp_path / "absent.tar.gz")]) == 1


def test_whatever_a_packed_module_imports_of_ours_is_packed() -> None:
    needed = {
        module.replace(".", "/") if module else name
        for path in packed_modules()
        for module, names in re.findall(r"^from model_code\.?(\S*) import (.*)$", path.read_text(), re.M)
        for name in (("",) if module else re.findall(r"\w+", names))
    }
    assert {"errors", "reading/channel", "reading"} <= needed
    packed = {str(path.relative_to(packing.SOURCE).with_suffix("")) for path in packed_modules()}
    assert needed <= packed | {folder for folder in packing.PACKED if not folder.endswith(".py")}
