"""Looks through a gzipped tar archive that anybody may have made, and refuses a hostile one before it does harm."""

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

# A model is tens of megabytes; these leave room for other people's and none for a bomb. The container has the same.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3
# tarfile reads headers whole, however long they say they are; members are read in smaller pieces than this.
MAX_READ_BYTES = 4 * 1024**2
MAX_NAME_BYTES = 255  # of a whole name: no file system takes a longer part of one
# What tarfile, gzip and zlib raise, here and there, for bytes that no archiver writes.
DAMAGED = (
    *(tarfile.TarError, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A gzipped tar archive to read; raises one of DAMAGED for another file."""
    with gzip.GzipFile(path) as inflated, tarfile.open(fileobj=_Frugal(inflated), mode="r:") as tar:
        yield tar


def checked(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Every member of an archive, once none is hostile; raises HostileArchive, or one of DAMAGED.

    Sizes add up as the archive is read, so a bomb is not inflated to its end. A name that is there twice would be one
    file to who checks and another to who serves. What is read here can be unpacked too: the container says the same.
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
    """A stream of which nobody reads much at once."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Read, unless it is more than any header has and any reader of members takes."""
        if not 0 <= size <= MAX_READ_BYTES:
            raise HostileArchive("has a header that is no header")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place, as tarfile does."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """It is, and members are read by it."""
        return True
