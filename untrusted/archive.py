"""Check an untrusted gzipped tar archive, and refuse a hostile one before it does harm."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# A model is tens of megabytes; these limits leave room for larger ones and none for a bomb.
MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_READ_BYTES = 4 * 1024**2  # members are read in smaller pieces than this
# tarfile reads a header whole, however long it says it is, looks through it in time with the square of its length
# (before Python 3.12.6), and keeps all of a sparse member's map before it can be asked whether the member is sparse.
MAX_HEADER_BYTES = 4096
MAX_HEADERS_BYTES = 4 * 1024**2  # of all members
MAX_NAME_BYTES = 255  # of a whole name: no file system takes a longer component
MAX_TIME = 2**40  # seconds before or after 1970; no system accepts a far greater file time
# Exceptions of tarfile, gzip and zlib for bytes that no archiver writes.
DAMAGED = (
    *(tarfile.TarError, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
)


class HostileArchive(Exception):
    """An archive holds members that no model needs.

    The message continues a sentence that begins with the archive's name; ``member`` is the name of the member that is
    refused ("" if it is not one of them).
    """

    def __init__(self, problem: str, member: str = "") -> None:
        super().__init__(problem)
        self.member = member[:MAX_NAME_BYTES]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a gzipped tar archive for reading; raise one of DAMAGED for any other file."""
    with gzip.GzipFile(path) as inflated, tarfile.open(fileobj=_Frugal(inflated), mode="r:") as tar:
        yield tar


def checked(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return all members of a harmless archive; raise HostileArchive or one of DAMAGED otherwise.

    Sizes add up as the archive is read, so a bomb is not inflated to its end. Duplicate names are refused: the checker
    and the server could pick different files.
    """
    members: dict[str, tarfile.TarInfo] = {}
    folders: set[str] = set()
    total = 0
    for member in tar:
        if not member.name.isprintable() or "\\" in member.name or len(member.name.encode()) > MAX_NAME_BYTES:
            raise HostileArchive("holds a name that no file should have", member.name)
        if (member.isreg() and member.name.endswith("/.")) or not abs(member.mtime) <= MAX_TIME:
            raise HostileArchive("holds a name or a time that no file can have", member.name)
        name = str(PurePosixPath(member.name))
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise HostileArchive("holds a member that is not a plain file: links and devices are refused", member.name)
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise HostileArchive("holds a name that leads out of its folder", member.name)
        if name in members:
            raise HostileArchive("holds one name twice", member.name)
        above = set(map(str, PurePosixPath(name).parents))
        if any(one in members and members[one].isreg() for one in above) or (member.isreg() and name in folders):
            raise HostileArchive("holds a name that is a file and a folder", member.name)
        folders |= above
        total += member.size
        if member.size < 0 or total > MAX_UNPACKED_BYTES or len(members) >= MAX_MEMBERS:
            raise HostileArchive(f"is larger than {MAX_UNPACKED_BYTES} bytes or {MAX_MEMBERS} members unpacked")
        members[name] = member
    if isinstance(tar.fileobj, _Frugal):
        tar.fileobj.headers_are_read()
    return list(members.values())


class _Frugal(io.RawIOBase):
    """A stream that refuses large reads and bounds the sum of all headers."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._most_at_once, self._left = MAX_HEADER_BYTES, MAX_HEADERS_BYTES

    def read(self, size: int = -1, /) -> bytes:
        """Read, unless the size is larger than any header or any read of a member."""
        if not 0 <= size <= min(self._most_at_once, self._left):
            raise HostileArchive("has a header that is not one")
        self._left -= size
        return self._stream.read(size)

    def headers_are_read(self) -> None:
        """Allow the larger reads of members."""
        self._most_at_once, self._left = MAX_READ_BYTES, sys.maxsize

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Seek, as tarfile does."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """Return True: members are read by seeking."""
        return True
