"""Writes a model folder, packs it to model.tar.gz, and unpacks an untrusted one."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_code.artifacts import metadata
from model_code.artifacts.artifact import CODE, METADATA, REQUIREMENTS, SCRIPT, WEIGHTS, check_layout
from model_code.artifacts.metadata import Metadata
from model_code.errors import ArtifactError

SOURCE = Path(__file__).parents[1]
# Packed beside the script: what inference imports, and nothing of training or of the server.
PACKED = (
    "__init__.py",
    "calibration.py",
    "errors.py",
    "inference.py",
    "transforms.py",
    "artifacts",
    "backends",
    "reading",
)
# DenseNet121 is 28 MB; these bounds leave room for larger models and none for a bomb.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_READ_BYTES = 4 * 1024**2
MAX_NAME_BYTES = 255  # of a whole name; no file system accepts a longer part of one
# The exceptions of tarfile, gzip and zlib for bytes that no archiver writes.
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
    """Write the artifact's files to ``model_dir``, which is created if missing."""
    modules = model_dir / CODE / SOURCE.name
    modules.mkdir(parents=True, exist_ok=True)
    (model_dir / WEIGHTS).write_bytes(weights)
    (model_dir / METADATA).write_text(metadata.write(about, eval_metrics, training), encoding="utf-8")
    for name in (SCRIPT, REQUIREMENTS):
        shutil.copyfile(SOURCE / "script" / Path(name).name, model_dir / name)
    for name in PACKED:
        for path in [SOURCE / name] if name.endswith(".py") else (SOURCE / name).glob("*.py"):
            copy = modules / path.relative_to(SOURCE)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)


def pack(model_dir: Path, archive: Path) -> None:
    """Pack ``model_dir`` to ``archive`` (model.tar.gz); equal files always give equal bytes.

    Raises ArtifactError if the layout is incomplete.
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

    Raises ArtifactError, before anything is written, for a member that leaves the folder, is a link or a device,
    occurs twice or as file and folder, or has an unsuitable name, and for too many members or bytes.
    """
    try:
        with gzip.GzipFile(archive) as inflated, tarfile.open(fileobj=_Frugal(inflated), mode="r:") as tar:
            members = _checked(archive.name, tar)
            for member in members:
                tar.extract(member, destination, filter="data")
    except DAMAGED as error:
        raise ArtifactError(f"{archive.name} cannot be unpacked: {type(error).__name__} {error}.") from error
    check_layout(destination)


class _Frugal(io.RawIOBase):
    """A stream that refuses long reads: tarfile reads a header whole, whatever length it declares."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Read up to MAX_READ_BYTES, more than any header or copy needs; raises ArtifactError for more."""
        if not 0 <= size <= MAX_READ_BYTES:
            raise ArtifactError("The model.tar.gz has a header that is no header.")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another position, as tarfile does."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


def _checked(name: str, members: Iterable[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Return all members or refuse the archive; sizes are summed while it is read, so a bomb is not read to its end."""
    checked: dict[str, tarfile.TarInfo] = {}
    folders: set[str] = set()
    total = 0
    for member in members:
        if not member.name.isprintable() or "\\" in member.name or len(member.name.encode()) > MAX_NAME_BYTES:
            raise ArtifactError(f"{name} holds {member.name[:MAX_NAME_BYTES]!r}, a name that no file should have.")
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
