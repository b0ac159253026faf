"""Writes a model folder, packs it to model.tar.gz, and unpacks one that may come from anyone."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
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
    "artifact",
    "calibration",
    "codestream",
    "decoder_process",
    "dicom",
    "elements",
    "errors",
    "forms",
    "gathering",
    "inference",
    "loading",
    "metadata",
    "network",
    "openvino_form",
    "probe",
    "processor",
    "transforms",
    "walker",
)
# DenseNet121 is 28 MB; these leave room for other people's models and none for a bomb.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3


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

    Raises ArtifactError, before anything is written, for a member that leaves the folder, is a link or a device, or
    when there are too many members or bytes.
    """
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            members = _checked(archive.name, tar)
            for member in members:
                tar.extract(member, destination, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"{archive.name} cannot be unpacked: {type(error).__name__} {error}.") from error
    check_layout(destination)


def _checked(name: str, members: Iterable[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Every member, once none is hostile; sizes add up as the archive is read, so a bomb is not read to its end."""
    checked: list[tarfile.TarInfo] = []
    total = 0
    for member in members:
        total += member.size
        if not (member.isreg() or member.isdir()):
            raise ArtifactError(f"{name} holds {member.name!r}, which is no plain file: links and devices are refused.")
        if Path(member.name).is_absolute() or ".." in Path(member.name).parts:
            raise ArtifactError(f"{name} holds {member.name!r}, which leaves the model's folder.")
        if total > MAX_UNPACKED_BYTES or len(checked) >= MAX_MEMBERS:
            raise ArtifactError(f"{name} is larger than {MAX_UNPACKED_BYTES} bytes or {MAX_MEMBERS} members unpacked.")
        checked.append(member)
    return checked
