"""Reads a model artifact's identity, the ``metadata.json`` inside a ``model.tar.gz``, without unpacking it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from aggregation.rule import MalformedRule, parse
from functions.domain import weights
from functions.domain.errors import CodeInWeights, InvalidArtifact
from untrusted import archive
from untrusted.class_names import refused_in

SCRIPT = "code/inference.py"
REQUIRED = ("model.pth", "metadata.json", SCRIPT)
MAX_METADATA_BYTES = 1024 * 1024
CHUNK = 1024 * 1024  # bytes read at once
# The container takes no more, and every answer repeats them: functions/domain/prediction.py reads no others.
MOST_LABELS = 1000
LONGEST_TEXT = 64  # characters
NAME_RULE = f"1 to {LONGEST_TEXT} letters, digits, spaces and the signs _.:/=+-@ are expected"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model artifact's name, version and labels (MONAI's channel_def); digests (hex) of its bytes, weights
    and script.

    ``synthetic``: it says that it has seen nothing but artificial slices. ``study`` is the rule by which it reads
    studies, as JSON; "" if it names none.
    """

    path: Path
    sha256: str
    weights_sha256: str
    name: str
    version: str
    labels: tuple[str, ...]
    synthetic: bool = False
    study: str = ""
    script_sha256: str = ""


def read_artifact(path: Path) -> Artifact:
    """Read an artifact's identity; raise InvalidArtifact if it lacks the layout that the container serves.

    Unpacks and runs nothing. A hostile archive, and weights that could run code, are refused.
    """
    try:
        with archive.opened(path) as tar:
            members = {str(PurePosixPath(one.name)): one for one in archive.checked(tar) if one.isreg()}
            missing = [name for name in REQUIRED if name not in members]
            if missing:
                raise InvalidArtifact(f"{path.name} lacks {', '.join(missing)}: it is not a model artifact.")
            metadata = _metadata(path.name, tar, members["metadata.json"])
            weights_sha256 = _digest(tar.extractfile(members["model.pth"]))
            script_sha256 = _digest(tar.extractfile(members[SCRIPT]))
            _check_weights(path.name, tar.extractfile(members["model.pth"]))
        name, version, labels = _identity(path.name, metadata)
        return Artifact(
            path=path,
            sha256=sha256_of(path),
            weights_sha256=weights_sha256,
            name=name,
            version=version,
            labels=labels,
            synthetic=metadata.get("synthetic") is True,
            study=_study(path.name, metadata, labels),
            script_sha256=script_sha256,
        )
    except archive.HostileArchive as error:
        raise InvalidArtifact(f"{path.name} {error}.") from error
    except archive.DAMAGED as error:
        raise InvalidArtifact(f"{path.name} cannot be read as a model.tar.gz: {error}") from error


def sha256_of(path: Path) -> str:
    """Return the digest (hex) of a file's bytes."""
    with path.open("rb") as file:
        return _digest(file)


def is_name(text: str) -> bool:
    """Return whether the registry takes a text as name or version of a model: SageMaker's pattern for a property.

    It is [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]: letters, separators and numbers of any script, and few signs.
    """
    return _is_short(text) and all(unicodedata.category(one)[0] in "LZN" or one in "_.:/=+-@" for one in text)


def _identity(archive_name: str, metadata: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return name, version and labels of metadata.json; labels in the order of the network's outputs."""
    try:
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        labels = tuple(str(channels[str(number)]) for number in range(len(channels)))
        name, version = str(metadata["name"]), str(metadata["version"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArtifact(f"metadata.json of {archive_name} has no usable {error}.") from error
    if not all(map(_is_short, (name, version, *labels))):
        raise InvalidArtifact(
            f"metadata.json of {archive_name} has a name, a version or a class that is not of 1 to {LONGEST_TEXT} "
            "characters."
        )
    for text in (name, version):
        if not is_name(text):
            raise InvalidArtifact(
                f"metadata.json of {archive_name} has the name or version {text!r}, which SageMaker's registry does "
                f"not take: {NAME_RULE}."
            )
    if odd := next(filter(None, map(refused_in, labels)), ""):
        raise InvalidArtifact(
            f"metadata.json of {archive_name} has a class with the character {odd}: letters, digits, signs and spaces "
            "are expected, no control or format characters."
        )
    if not 0 < len(labels) <= MOST_LABELS or len(set(labels)) < len(labels):
        raise InvalidArtifact(f"metadata.json of {archive_name} has not 1 to {MOST_LABELS} different classes.")
    return name, version, labels


def _study(archive_name: str, metadata: Any, labels: tuple[str, ...]) -> str:
    if "study" not in metadata:
        return ""
    try:
        rule = parse(metadata["study"])
        rule.check_classes(labels)
    except MalformedRule as error:
        raise InvalidArtifact(f"metadata.json of {archive_name} cannot be read: {error}.") from error
    return rule.dumps()


def _is_short(text: str) -> bool:
    return 0 < len(text) <= LONGEST_TEXT and not any("\ud800" <= character <= "\udfff" for character in text)


def _metadata(name: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    if member.size > MAX_METADATA_BYTES:
        raise InvalidArtifact(f"metadata.json of {name} has {member.size} bytes; that is no metadata.")
    stream = tar.extractfile(member)
    return json.loads(stream.read()) if stream else {}


def _check_weights(name: str, stream: IO[bytes] | None) -> None:
    try:
        weights.check(stream or io.BytesIO())
    except CodeInWeights as error:
        raise InvalidArtifact(f"model.pth of {name} {error}.") from error


def _digest(stream: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while stream and (chunk := stream.read(CHUNK)):
        digest.update(chunk)
    return digest.hexdigest()
