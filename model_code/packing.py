"""Writes a model folder, packs it to model.tar.gz, and unpacks one that may come from anyone."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import sys
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_code import metadata
from model_code.artifact import CODE, METADATA, REQUIREMENTS, SCRIPT, WEIGHTS, check_layout
from model_code.errors import ArtifactError
from model_code.metadata import Metadata

SOURCE = Path(__file__).parent
# Beside the script: what inference imports, and nothing of training or of the server.
PACKED_MODULES = (
    "__init__",
    "allocator",
    "artifact",
    "calibration",
    "channel",
    "codestream",
    "decoder_process",
    "dicom",
    "elements",
    "errors",
    "forms",
    "gathering",
    "gdcm_plugin",
    "gpu",
    "inference",
    "loading",
    "metadata",
    "network",
    "openvino_form",
    "probe",
    "processor",
    "sandbox",
    "tiles",
    "transforms",
    "walker",
)
# DenseNet121 is 28 MB; these leave room for other people's models and none for a bomb.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_READ_BYTES = 4 * 1024**2  # members are read in smaller pieces than this
# tarfile reads a header whole, however long it says it is, looks through it in time with the square of its length
# (before Python 3.12.6), and keeps all of a sparse member's map before it can be asked whether the member is sparse.
MAX_HEADER_BYTES = 4096
MAX_HEADERS_BYTES = 4 * 1024**2  # of all members
MAX_NAME_BYTES = 255  # of a whole name: no file system takes a longer part of one
MAX_TIME = 2**40  # seconds before or after 1970; what is far greater, or no number, no system takes as a file's time
# What tarfile, gzip and zlib raise, here and there, for bytes that no archiver writes.
DAMAGED = (
    *(tarfile.TarError, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
)


def serialise(network: nn.Module) -> bytes:
    """Return the bytes of model.pth: the state dict on the CPU in the default memory format."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def write(
    model_dir: Path, weights: bytes, about: Metadata, eval_metrics: Mapping[str, float], training: Mapping[str, Any]
) -> None:
    """Lay out the artifact in ``model_dir``, which is made when missing."""
    modules = model_dir / CODE / SOURCE.name
    modules.mkdir(parents=True, exist_ok=True)
    (model_dir / WEIGHTS).write_bytes(weights)
    (model_dir / METADATA).write_text(metadata.write(about, eval_metrics, training), encoding="utf-8")
    for name in (SCRIPT, REQUIREMENTS):
        shutil.copyfile(SOURCE / "script" / Path(name).name, model_dir / name)
    for module in PACKED_MODULES:
        shutil.copyfile(SOURCE / f"{module}.py", modules / f"{module}.py")


def pack(model_dir: Path, archive: Path) -> None:
    """Pack ``model_dir`` to ``archive`` (model.tar.gz); the same files always give the same bytes.

    Raises ArtifactError when the layout is incomplete.
    """
    check_layout(model_dir)
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(path for path in model_dir.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            member = tarfile.TarInfo(path.relative_to(model_dir).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(member, content)


def unpack(archive: Path, destination: Path) -> None:
    """Unpack model.tar.gz into ``destination`` and check its layout.

    Raises ArtifactError, before anything is written, for a member that leaves the folder, is a link or a device, is
    there twice or a file and a folder, or has a name that no file should have, and when there are too many members or
    bytes.
    """
    try:
        with gzip.GzipFile(archive) as inflated, tarfile.open(fileobj=(file := _Frugal(inflated)), mode="r:") as tar:
            members = _checked(archive.name, tar)
            file.headers_are_read()
            for member in members:
                tar.extract(member, destination, filter="data")
    except DAMAGED as error:
        raise ArtifactError(f"{archive.name} cannot be unpacked: {type(error).__name__} {error}.") from error
    check_layout(destination)


class _Frugal(io.RawIOBase):
    """A stream of which nobody reads much at once, nor many headers."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._most_at_once, self._left = MAX_HEADER_BYTES, MAX_HEADERS_BYTES

    def read(self, size: int = -1, /) -> bytes:
        """Read, unless it is more than any header has, or than any copying takes."""
        if not 0 <= size <= min(self._most_at_once, self._left):
            raise ArtifactError("The model.tar.gz has a header that is no header.")
        self._left -= size
        return self._stream.read(size)

    def headers_are_read(self) -> None:
        """From here on members are read."""
        self._most_at_once, self._left = MAX_READ_BYTES, sys.maxsize

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place, as tarfile does."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._stream.tell()


def _checked(name: str, members: Iterable[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Every member, once none is hostile; sizes add up as the archive is read, so a bomb is not read to its end."""
    checked: dict[str, tarfile.TarInfo] = {}
    folders: set[str] = set()
    total = 0
    for member in members:
        if not member.name.isprintable() or "\\" in member.name or len(member.name.encode()) > MAX_NAME_BYTES:
            raise ArtifactError(f"{name} holds {member.name[:MAX_NAME_BYTES]!r}, a name that no file should have.")
        if (member.isreg() and member.name.endswith("/.")) or not abs(member.mtime) <= MAX_TIME:
            raise ArtifactError(f"{name} holds {member.name!r}, a file of a name or a time that none can have.")
        path = Path(member.name)
        total += member.size
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise ArtifactError(f"{name} holds {member.name!r}, which is no plain file: links and devices are refused.")
        if path.is_absolute() or ".." in path.parts:
            raise ArtifactError(f"{name} holds {member.name!r}, which leaves the model's folder.")
        if str(path) in checked:
            raise ArtifactError(f"{name} holds {str(path)!r} twice.")
        above = set(map(str, path.parents))
        if any(one in checked and checked[one].isreg() for one in above) or (member.isreg() and str(path) in folders):
            raise ArtifactError(f"{name} holds {str(path)!r}, which is a file and a folder.")
        folders |= above
        if member.size < 0 or total > MAX_UNPACKED_BYTES or len(checked) >= MAX_MEMBERS:
            raise ArtifactError(f"{name} is larger than {MAX_UNPACKED_BYTES} bytes or {MAX_MEMBERS} members unpacked.")
        checked[str(path)] = member
    return list(checked.values())
