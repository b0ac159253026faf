"""Pack and unpack `model.tar.gz`; an archive from outside can only write into its own folder."""

from __future__ import annotations

import tarfile
from pathlib import Path

from untrusted.archive import DAMAGED, HostileArchive, checked, opened


class ArchiveError(Exception):
    """An archive cannot be unpacked; the message says which and why."""


def unpack(archive: Path, folder: Path) -> None:
    """Extract a `model.tar.gz` into `folder`; raise ArchiveError before anything is written if it is hostile."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with opened(archive) as tar:
            for member in checked(tar):
                tar.extract(member, folder, filter="data")
    except HostileArchive as error:
        raise ArchiveError(f"{archive.name} {error}") from error
    except DAMAGED as error:
        raise ArchiveError(f"{archive.name} is no usable tar archive: {error}") from error


def pack(folder: Path, archive: Path) -> None:
    """Write everything below `folder` to a gzipped tar archive, with names relative to it."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
