"""Checks a gzipped tar archive from an unknown source, and refuses a hostile one before it does harm."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from functions.domain.errors import HostileArchive

# A model has tens of megabytes: these leave room for larger ones and none for a bomb. The container has the same.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3
# tarfile reads a whole header, however long it claims to be; members are read in smaller pieces than this.
MAX_READ_BYTES = 4 * 1024**2
MAX_NAME_BYTES = 255  # of a whole name: no file system takes longer parts of one
# What tarfile, gzip and zlib raise for bytes that no archiver writes.
DAMAGED = (
    *(tarfile.TarError, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a gzipped tar archive to read; raise one of DAMAGED for another file."""
    with gzip.GzipFile(path) as inflated, tarfile.open(fileobj=_Frugal(inflated), mode="r:") as tar:
        yield tar


def checked(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return every member of an archive if none is hostile; else raise HostileArchive, or one of DAMAGED.

    Sizes add up as the archive is read, so a bomb is not inflated to its end. Duplicate names are rejected: the checker
    and the server could pick different files. An archive that passes can be unpacked; the container checks the same.
    """
    members: dict[str, tarfile.TarInfo] = {}
    folders: set[str] = set()
    total = 0
    for member in tar:
        if not member.name.isprintable() or "\\" in member.name or len(member.name.encode()) > MAX_NAME_BYTES:
            raise HostileArchive("holds a name that no file should have")
        name = str(PurePosixPath(member.name))
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise HostileArchive("holds what is no plain file: links and devices are refused")
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise HostileArchive("holds a name that leads out of its folder")
        if name in members:
            raise HostileArchive("holds one name twice")
        above = set(map(str, PurePosixPath(name).parents))
        if any(one in members and members[one].isreg() for one in above) or (member.isreg() and name in folders):
            raise HostileArchive("holds a name that is a file and a folder")
        folders |= above
        total += member.size
        if member.size < 0 or total > MAX_UNPACKED_BYTES or len(members) >= MAX_MEMBERS:
            raise HostileArchive(f"is larger than {MAX_UNPACKED_BYTES} bytes or {MAX_MEMBERS} members unpacked")
        members[name] = member
    return list(members.values())


class _Frugal(io.RawIOBase):
    """A stream that bounds each read."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Read ``size`` bytes; raise HostileArchive for more than a header or a reader of members needs."""
        if not 0 <= size <= MAX_READ_BYTES:
            raise HostileArchive("has a header that is no header")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another offset, as tarfile does."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the offset."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """Return True: tarfile seeks to read members."""
        return True
