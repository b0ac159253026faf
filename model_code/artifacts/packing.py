"""Writes a model folder, packs it to model.tar.gz, and unpacks an untrusted one."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

import aggregation
import untrusted
from model_code import typicality
from model_code.artifacts import metadata
from model_code.artifacts.artifact import CODE, METADATA, REQUIREMENTS, SCRIPT, WEIGHTS, check_layout
from model_code.artifacts.metadata import Metadata
from model_code.errors import ArtifactError
from model_code.typicality import Typicality
from untrusted.archive import DAMAGED, HostileArchive, checked, opened

SOURCE = Path(__file__).parents[1]
# What model_code imports of other rooms, whole.
ROOMS = tuple(Path(str(room.__file__)).parent for room in (aggregation, untrusted))
# Packed beside the script: what inference imports, and nothing of training or of the server.
PACKED = (
    "__init__.py",
    "calibration.py",
    "errors.py",
    "grid.py",
    "inference.py",
    "transforms.py",
    "typicality.py",
    "artifacts",
    "backends",
    "reading",
)


def serialise(network: nn.Module) -> bytes:
    """Return the bytes of model.pth: the state dict on the CPU in the default memory format."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def write(
    model_dir: Path,
    weights: bytes,
    about: Metadata,
    eval_metrics: Mapping[str, float],
    training: Mapping[str, Any],
    typical: Typicality | None = None,
) -> None:
    """Write the artifact's files to ``model_dir``, which is created if missing; ``typical`` as ``about`` names it."""
    modules = model_dir / CODE / SOURCE.name
    modules.mkdir(parents=True, exist_ok=True)
    (model_dir / WEIGHTS).write_bytes(weights)
    if typical:
        (model_dir / typicality.FILE).write_bytes(typical.file())
    (model_dir / METADATA).write_text(metadata.write(about, eval_metrics, training), encoding="utf-8")
    for name in (SCRIPT, REQUIREMENTS):
        shutil.copyfile(SOURCE / "script" / Path(name).name, model_dir / name)
    for name in PACKED:
        for path in [SOURCE / name] if name.endswith(".py") else (SOURCE / name).glob("*.py"):
            copy = modules / path.relative_to(SOURCE)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    for room in ROOMS:
        copies = model_dir / CODE / room.name
        copies.mkdir(exist_ok=True)
        for path in room.glob("*.py"):
            shutil.copyfile(path, copies / path.name)


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
        with opened(archive) as tar:
            for member in checked(tar):
                tar.extract(member, destination, filter="data")
    except HostileArchive as error:
        named = f": {error.member!r}" if error.member else ""
        raise ArtifactError(f"{archive.name} {error}{named}.") from error
    except DAMAGED as error:
        raise ArtifactError(f"{archive.name} cannot be unpacked: {type(error).__name__} {error}.") from error
    check_layout(destination)
