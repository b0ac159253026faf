"""Send files to the uploads bucket: which files, under which keys, and the Uploads that they become."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from functions.domain import layout
from wetread.parallel import each
from wetread.problems import ConfigProblem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 * 1024**2
SINGLE_PUT_BYTES = 64 * 1024**2
NOT_OBJECTS = frozenset({"manifest.json", "DICOMDIR"})
"""Files that accompany DICOM objects in a folder and are not DICOM objects."""
LONGEST_KEY = 1024
MOST_READ_BYTES = 256 * 1024**2  # of a file for an endpoint; a request holds far less
UNVERSIONED = "null"  # S3's version id of objects in an unversioned bucket


@dataclass(frozen=True)
class Source:
    """A file and the key under which it is submitted; below ``folder``, where one was named, no link is followed."""

    path: Path
    key: str
    folder: Path | None = None


@dataclass(frozen=True)
class Submitted:
    """A file that is in the bucket now, as the Upload ``upload_id``."""

    source: Source
    version_id: str
    upload_id: str


@dataclass(frozen=True)
class NotSubmitted:
    """A file that did not get into the bucket, and why."""

    source: Source
    reason: str


@dataclass(frozen=True)
class Plan:
    """The files of a submission, and the files of its folders that it leaves out.

    ``skipped`` by name, ``irregular`` because it is no regular file, ``unread`` are folders that cannot be read.
    """

    sources: tuple[Source, ...]
    skipped: tuple[Path, ...]
    irregular: tuple[Path, ...]
    unread: tuple[Path, ...]


def plan(paths: Sequence[Path], prefix: str = "") -> Plan:
    """Find the files below ``paths``. A folder's keys start with the folder's own name, a file's key is its name.

    Hidden files, NOT_OBJECTS and whatever is no regular file are left out of folders: a link in a folder from elsewhere
    may lead to any file of this machine, and a pipe blocks its reader. A file that is named itself is always sent, also
    by a link within its folder; a shell's ``*`` names links as well, so one that leads out of it is refused, to a file
    or to a folder. Raises ConfigProblem for a path that does not exist, is no file or leads elsewhere, nothing to send,
    two files with one key, or a key too long for S3.
    """
    sources: list[Source] = []
    skipped: list[Path] = []
    irregular: list[Path] = []
    unread: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigProblem(f"There is no file or folder {str(path)!r}.", "Check the path.")
        check_link(path)
        if path.is_dir():
            name = path.resolve().name
            for file, is_regular in _everything_below(path, lambda folder, _error: unread.append(folder)):
                if file.name.startswith(".") or file.name in NOT_OBJECTS:
                    skipped.append(file)
                elif not is_regular:
                    irregular.append(file)
                else:
                    sources.append(Source(file, _key(prefix, name, file.relative_to(path).as_posix()), path))
        elif path.is_file():
            sources.append(Source(path, _key(prefix, path.name)))
        else:
            raise ConfigProblem(f"{str(path)!r} is a pipe or a device.", "Submit regular files or folders.")
    if not sources:
        raise ConfigProblem("There is nothing to submit: no DICOM object lies below the given paths.", "Check them.")
    check_keys(sources)
    return Plan(tuple(sources), tuple(skipped), tuple(irregular), tuple(unread))


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


def upload(
    client: S3Client, bucket: str, sources: Sequence[Source], advance: Callable[[], None]
) -> tuple[list[Submitted], list[NotSubmitted]]:
    """Send files in parallel; ``advance`` is called after each. A file that fails does not stop the others."""
    versions, failed = each(lambda source: _put(client, bucket, source), sources, advance)
    done = [Submitted(source, version_id, layout.upload_id(source.key, version_id)) for source, version_id in versions]
    return done, [NotSubmitted(source, reason) for source, reason in failed]


def files_below(folder: Path) -> Iterator[Path]:
    """Return the regular files below ``folder`` in a fixed order: no links, pipes or devices, no hidden folders.

    Raises ConfigProblem for a folder that cannot be read.
    """

    def refuse(unread: Path, error: OSError) -> None:
        raise ConfigProblem(f"The folder {str(unread)!r} cannot be read: {error.strerror}.", "Take it away.") from error

    return (path for path, is_regular in _everything_below(folder, refuse) if is_regular)


def _everything_below(folder: Path, unread: Callable[[Path, OSError], None]) -> Iterator[tuple[Path, bool]]:
    """Yield all but folders below ``folder``, in a fixed order, and whether each is a regular file.

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
                yield parent / entry.name, entry.is_file(follow_symlinks=False)
        waiting += [path for path in reversed(inner) if not path.name.startswith(".")]


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


def _key(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def check_keys(sources: Sequence[Source]) -> None:
    """Raise ConfigProblem for two sources with one key, and for a key that S3 would not take."""
    for key, count in Counter(source.key for source in sources).items():
        if count > 1:
            raise ConfigProblem(
                f"{count} files would get the key {key!r}.", "Submit them apart, each with its own --prefix."
            )
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            raise ConfigProblem(f"The name {key!r} is not valid Unicode.", "Rename the file.") from None
        if size > LONGEST_KEY:
            raise ConfigProblem(f"The key {key[:40]!r}… has {size} bytes, S3 takes {LONGEST_KEY}.", "Shorten the path.")


def _put(client: S3Client, bucket: str, source: Source) -> str:
    """Send one file and return the id of the object version that it became."""
    with opened(source) as body:
        if os.fstat(body.fileno()).st_size > SINGLE_PUT_BYTES:
            return _put_in_parts(client, bucket, source, body)
        answer = client.put_object(Bucket=bucket, Key=source.key, Body=body, ContentType="application/dicom")
    return answer.get("VersionId", UNVERSIONED)


def _put_in_parts(client: S3Client, bucket: str, source: Source, body: BufferedReader) -> str:
    """Send a big file part by part: boto3's own transfer does not return the version that it made."""
    started = client.create_multipart_upload(
        Bucket=bucket, Key=source.key, ContentType="application/dicom", ChecksumAlgorithm="CRC32"
    )
    upload_id = started["UploadId"]
    try:
        parts = []
        for number, part in enumerate(iter(lambda: body.read(PART_BYTES), b""), start=1):
            answer = client.upload_part(
                Bucket=bucket,
                Key=source.key,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,
                ChecksumAlgorithm="CRC32",
            )
            parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
        completed = client.complete_multipart_upload(
            Bucket=bucket,
            Key=source.key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        )
    except BaseException:
        client.abort_multipart_upload(Bucket=bucket, Key=source.key, UploadId=upload_id)
        raise
    return completed.get("VersionId", UNVERSIONED)
