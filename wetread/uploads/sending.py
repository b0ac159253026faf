"""From files to object versions in the uploads bucket: what is sent, under which key, and which Upload it becomes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
"""Files that accompany DICOM objects in a folder, and are none that could be read."""
LONGEST_KEY = 1024
MOST_READ_BYTES = 256 * 1024**2  # of a file that is answered without being uploaded; a request holds far less
UNVERSIONED = "null"  # how S3 itself calls the version of an object in a bucket that keeps none


@dataclass(frozen=True)
class Source:
    """A file and the key under which it is submitted."""

    path: Path
    key: str


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
    """What a submission sends, and what it leaves out of its folders: by name, and because it is no regular file."""

    sources: tuple[Source, ...]
    skipped: tuple[Path, ...]
    irregular: tuple[Path, ...]


def plan(paths: Sequence[Path], prefix: str = "") -> Plan:
    """Find the files below ``paths``. A folder's keys start with the folder's own name, a file's key is its name.

    Hidden files, NOT_OBJECTS and whatever is no regular file are left out of folders: a link in a folder from elsewhere
    may lead to any file of this machine, and a pipe blocks its reader. A file that is named itself is always sent, also
    by a link within its folder; a shell's ``*`` names links as well, so one that leads out of it is refused. Raises
    ConfigProblem for a path that does not exist, is no file or leads elsewhere, nothing to send, two files with one
    key, or a key too long for S3.
    """
    sources: list[Source] = []
    skipped: list[Path] = []
    irregular: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigProblem(f"There is no file or folder {str(path)!r}.", "Check the path.")
        if path.is_dir():
            name = path.resolve().name
            for file in _everything_below(path):
                if file.name.startswith(".") or file.name in NOT_OBJECTS:
                    skipped.append(file)
                elif not _is_regular(file):
                    irregular.append(file)
                else:
                    sources.append(Source(file, _key(prefix, name, file.relative_to(path).as_posix())))
        else:
            _check_named(path)
            sources.append(Source(path, _key(prefix, path.name)))
    if not sources:
        raise ConfigProblem("There is nothing to submit: no DICOM object lies below the given paths.", "Check them.")
    check_keys(sources)
    return Plan(tuple(sources), tuple(skipped), tuple(irregular))


def _check_named(path: Path) -> None:
    """Raise ConfigProblem for a named path that is no file, or a link to a file outside of its folder."""
    if not path.is_file():
        raise ConfigProblem(f"{str(path)!r} is a pipe or a device.", "Submit regular files or folders.")
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise ConfigProblem(
            f"{str(path)!r} is a link that leads out of its folder, to {str(path.resolve())!r}.",
            "If that file is meant, name it.",
        )


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most MOST_READ_BYTES; raise ConfigProblem for anything else."""
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


def files_below(folder: Path) -> Iterable[Path]:
    """Return the regular files below ``folder`` in a fixed order: no links, pipes or devices, no hidden folders."""
    return filter(_is_regular, _everything_below(folder))


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _everything_below(folder: Path) -> Iterator[Path]:
    """Return all but folders below ``folder``, in a fixed order, without hidden folders; links are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(files))


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
    if source.path.stat().st_size > SINGLE_PUT_BYTES:
        return _put_in_parts(client, bucket, source)
    with source.path.open("rb") as body:
        answer = client.put_object(Bucket=bucket, Key=source.key, Body=body, ContentType="application/dicom")
    return answer.get("VersionId", UNVERSIONED)


def _put_in_parts(client: S3Client, bucket: str, source: Source) -> str:
    """Send a big file part by part: boto3's own transfer would not tell which version it made."""
    started = client.create_multipart_upload(
        Bucket=bucket, Key=source.key, ContentType="application/dicom", ChecksumAlgorithm="CRC32"
    )
    upload_id = started["UploadId"]
    try:
        parts = []
        with source.path.open("rb") as body:
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
