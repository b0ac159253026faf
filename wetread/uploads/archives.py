"""Files inside of .zip and .gz files: listed, and unpacked one at a time to memory or a nameless temporary file.

Archives come from elsewhere: what they declare and what they unpack to has bounds, and no name in one is ever a path.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import struct
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, cast

from functions.domain.header import FIRST_READ
from untrusted.header import PREAMBLE, PREFIX, START
from wetread.uploads.files import Source, opened

ARCHIVES = re.compile(r"\.(zip|gz|tgz|tar|bz2|xz|zst|7z|rar|iso)\Z", re.IGNORECASE)
MOST_MEMBERS = 100_000
MOST_DIRECTORY_BYTES = 16 * 1024**2  # of a zip's list of members, which is read at once
MOST_UNPACKED_BYTES = 256 * 1024**2  # of one file
# Of all files in an archive: real slices are packed to a half or a third, bombs to a thousandth.
MOST_RATIO = 100
ALWAYS_UNPACKED_BYTES = 1024**3  # whatever the ratio
IN_MEMORY_BYTES = 4 * 1024**2  # of one unpacked file; a longer one is in a temporary file
PIECE = 1024**2
ENCRYPTED = 0x1  # in the flags of a member
# What zipfile, gzip and zlib raise for bytes that no archiver writes.
DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, ArithmeticError, LookupError),
)


class Unopened(Exception):
    """An archive, or a file in it, cannot be opened; the message is a sentence."""


@dataclass(frozen=True)
class Member:
    """A file inside of an archive: a member of a zip file, or (None) what a gzip file contains."""

    archive: Archive
    info: zipfile.ZipInfo | None


class Archive:
    """A .zip or .gz file. It is open while its files are read, by several threads at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._file: _Frugal | None = None
        self._zip: zipfile.ZipFile | None = None
        self._unread = 0

    def members(self) -> list[tuple[str, Member | str]]:
        """Return the path of each file in a zip, and the Member or a sentence on why it is not opened.

        Raises Unopened for a file that is not a zip archive, or whose list of members is too long.
        """
        try:
            with _Frugal(opened(self.source).detach()) as file, zipfile.ZipFile(file) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir()]
                packed_bytes = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise Unopened(f"It cannot be read: {error.strerror}.") from error
        except DAMAGED as error:
            raise Unopened("It is damaged, or is not a zip archive.") from error
        if len(infos) > MOST_MEMBERS:
            raise Unopened(f"It has {len(infos):,} files; at most {MOST_MEMBERS:,} are opened. Unpack it.")
        left = max(ALWAYS_UNPACKED_BYTES, MOST_RATIO * packed_bytes)
        found: list[tuple[str, Member | str]] = []
        for info in infos:
            problem = _problem(info)
            if not problem:
                left -= info.file_size
                if left < 0:
                    problem = "Its archive unpacks to more bytes than are read: unpack it yourself."
            found.append((info.filename.replace("\\", "/"), problem or Member(self, info)))
        self._unread = sum(isinstance(member, Member) for _, member in found)
        return found

    @contextmanager
    def stream(self, info: zipfile.ZipInfo | None) -> Iterator[IO[bytes]]:
        """Yield the unpacked bytes of one file."""
        if info is None:
            with opened(self.source) as file, gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("IO[bytes]", unpacked)
            return
        try:
            with self._lock:
                member = self._opened().open(info)
            with member:
                yield member
        finally:
            with self._lock:
                self._unread -= 1
                if self._unread <= 0:
                    self._close()

    def _opened(self) -> zipfile.ZipFile:
        if self._zip is None:
            file = _Frugal(opened(self.source).detach())
            try:
                self._zip = zipfile.ZipFile(file)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._zip

    def _close(self) -> None:
        """Close the file after its last member: thousands of archives may wait."""
        if self._file is not None:
            self._file.close()
        self._file = self._zip = None


@contextmanager
def unpacked(member: Member) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file in an archive; only their start where it is not DICOM.

    Raises OSError where the archive is damaged, or the file unpacks to more than MOST_UNPACKED_BYTES.
    """
    with ExitStack() as stack:
        body = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES))
        try:
            with member.archive.stream(member.info) as stream:
                start = stream.read(FIRST_READ)
                body.write(start)
                if start[PREAMBLE:START] == PREFIX:
                    _copy(stream, body)
        except DAMAGED as error:
            raise OSError(errno.EINVAL, "Its archive is damaged, or ends early") from error
        body.seek(0)
        yield body


def _copy(stream: IO[bytes], body: IO[bytes]) -> None:
    while piece := stream.read(PIECE):
        body.write(piece)
        if body.tell() > MOST_UNPACKED_BYTES:
            raise OSError(errno.EFBIG, f"It unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")


def _problem(info: zipfile.ZipInfo) -> str:
    """Return a sentence on why a member of a zip is not opened, "" if it is."""
    parts = info.filename.replace("\\", "/").split("/")
    if {"", ".", ".."}.intersection(parts) or ":" in parts[0]:
        return "Its path leads out of the archive."
    if info.flag_bits & ENCRYPTED:
        return "It is encrypted: unpack it with its password."
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:  # others take memory as they declare it
        return "It is packed in another way than stored or deflated: unpack it yourself."
    if info.file_size > MOST_UNPACKED_BYTES:
        return f"It unpacks to {info.file_size:,} bytes; at most {MOST_UNPACKED_BYTES:,} are read."
    return ""


class _Frugal(io.BufferedReader):
    """A file that is never read by more than MOST_DIRECTORY_BYTES at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size
        if size > MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("The list of members is too long")
        return super().read(size)
