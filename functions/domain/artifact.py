"""What a model artifact says of itself: the ``metadata.json`` inside a ``model.tar.gz``, read without unpacking."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from functions.domain.errors import WetreadError

REQUIRED = ("model.pth", "metadata.json", "code/inference.py")
MAX_METADATA_BYTES = 1024 * 1024
CHUNK = 1024 * 1024  # bytes read at once


class InvalidArtifact(WetreadError):
    """A file is not a model artifact; the message says what it lacks."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model artifact's own name, version and labels (MONAI's channel_def); digests (hex) of its bytes and weights."""

    path: Path
    sha256: str
    weights_sha256: str
    name: str
    version: str
    labels: tuple[str, ...]


def read_artifact(path: Path) -> Artifact:
    """Read an artifact's identity; raise InvalidArtifact when it has not the layout that the container serves."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
            missing = [name for name in REQUIRED if name not in members]
            if missing:
                raise InvalidArtifact(f"{path.name} lacks {', '.join(missing)}: it is not a model artifact.")
            member = members["metadata.json"]
            if member.size > MAX_METADATA_BYTES:
                raise InvalidArtifact(f"metadata.json of {path.name} has {member.size} bytes; that is no metadata.")
            stream = archive.extractfile(member)
            metadata = json.loads(stream.read()) if stream else {}
            weights_sha256 = _digest(archive.extractfile(members["model.pth"]))
        with path.open("rb") as file:
            sha256 = _digest(file)
        return Artifact(
            path=path,
            sha256=sha256,
            weights_sha256=weights_sha256,
            name=str(metadata["name"]),
            version=str(metadata["version"]),
            labels=tuple(map(str, metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())),
        )
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise InvalidArtifact(f"{path.name} cannot be read as a model.tar.gz: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArtifact(f"metadata.json of {path.name} has no usable {error}.") from error


def _digest(stream: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while stream and (chunk := stream.read(CHUNK)):
        digest.update(chunk)
    return digest.hexdigest()
