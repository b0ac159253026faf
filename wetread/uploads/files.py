"""Files and folders of this machine, read without following a link out of what was named, nor waiting for a pipe."""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from wetread.problems import ConfigProblem

LONGEST_KEY = 1024
MOST_READ_BYTES = 256 * 1024**2  # of a file for an endpoint; a request holds far less


@dataclass(frozen=True)
class Source:
    """A file and the key under which it is submitted; below ``folder``, where one was named, no link is followed."""

    path: Path
    key: str
    folder: Path | None = None


@dataclass(frozen=True)
class NotSubmitted:
    """A file that did not get into the bucket, and why."""

    source: Source
    reason: str


class Kind(enum.Enum):
    """What an entry of a folder is, apart from folders."""

    FILE = "a regular file"
    LINK = "a symbolic link"
    SPECIAL = "a pipe, socket or device"


def check_link(path: Path) -> None:
    """Raise ConfigProblem for a link that leads out of its folder."""
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise ConfigProblem(
            f"{str(path)!r} is a link that leads out of its folder, to {str(path.resolve())!r}.",
            "If that is meant, name it.",
        )


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most MOST_READ_BYTES.

    Raises ConfigProblem for anything else, and for a link that leads out of its folder, since a shell's ``*`` names it.
    """
    check_link(path)
    if not path.is_file():
        raise ConfigProblem(f"{str(path)!r} is no regular file.", "Name a DICOM file.")
    size = path.stat().st_size
    if size > MOST_READ_BYTES:
        raise ConfigProblem(f"{str(path)!r} has {size:,} bytes; {MOST_READ_BYTES:,} are read.", "Name a DICOM slice.")
    return path.read_bytes()


def files_below(folder: Path) -> Iterator[Path]:
    """Return the regular files below ``folder`` in a fixed order: no links, pipes or devices, no hidden folders.

    Raises ConfigProblem for a folder that cannot be read.
    """

    def refuse(unread: Path, error: OSError) -> None:
        raise ConfigProblem(f"The folder {str(unread)!r} cannot be read: {error.strerror}.", "Take it away.") from error

    return (path for path, kind in everything_below(folder, refuse) if kind == Kind.FILE)


def everything_below(folder: Path, unread: Callable[[Path, OSError], None]) -> Iterator[tuple[Path, Kind]]:
    """Yield all but folders below ``folder``, in a fixed order, and what each is.

    Hidden folders are left out, and links are not followed. ``unread`` is called with each folder that cannot be read.
    Folders may be nested as deep as the file system takes them.
    """
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            unread(parent, error)
            continue
        inner = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(parent / entry.name)
            else:
                yield parent / entry.name, _kind(entry)
        waiting += [path for path in reversed(inner) if not path.name.startswith(".")]


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.SPECIAL


def opened(source: Source) -> BufferedReader:
    """Open a source's file, which may have been replaced since; raise OSError unless it is a regular file.

    Below the folder that was named no link is followed, also none that has taken the place of a folder.
    """
    reading = os.O_RDONLY | os.O_NONBLOCK  # without waiting for a pipe's writer
    number = (
        os.open(source.path, reading) if source.folder is None else _open_below(source.folder, source.path, reading)
    )
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "It is no regular file any more")
    return file


def _open_below(folder: Path, path: Path, flags: int) -> int:
    """Open a file by way of each folder between, none of them a link; return its descriptor."""
    *between, name = path.relative_to(folder).parts
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in between:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def key_problem(key: str) -> str:
    """Return a sentence on why S3 would not take a key, "" if it would."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "Its name is not valid Unicode: rename it."
    if size > LONGEST_KEY:
        return f"Its key has {size} bytes, S3 takes {LONGEST_KEY}: shorten the path."
    return ""


def check_keys(sources: Sequence[Source]) -> None:
    """Raise ConfigProblem for two sources with one key, and for a key that S3 would not take."""
    for key, count in Counter(source.key for source in sources).items():
        if count > 1:
            raise ConfigProblem(
                f"{count} files would get the key {key!r}.", "Submit them apart, each with its own --prefix."
            )
        if problem := key_problem(key):
            raise ConfigProblem(f"{key[:40]!r}… cannot be sent.", problem)
