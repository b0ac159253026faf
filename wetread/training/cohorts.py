"""From labelled files to the training bucket: find the files that labels name, and send only new ones."""

from __future__ import annotations

import base64
import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.aws.objects import GONE
from functions.domain import labelling
from functions.domain.cohort import Cohort, ObjectVersion
from functions.domain.errors import MalformedManifest, Refusal
from functions.domain.header import header_of
from functions.domain.slices import LabelledSlice
from functions.domain.verdict import Places, Reason
from functions.names import COHORTS
from untrusted.header import Header
from wetread.parallel import each
from wetread.problems import ConfigProblem
from wetread.uploads.files import NotSubmitted, Source, check_keys, check_link, files_below, opened

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LABELS_FILES = ("manifest.json", "labels.csv")
CONTENT_TYPES = {".json": "application/json", ".csv": "text/csv"}
NAMED = 10
"""How many problems of the labels are listed one by one."""


class _AnyLabel(tuple[str, ...]):
    """A set of classes that contains every label: only the stage's workflow knows its classes."""

    __slots__ = ()

    def __contains__(self, label: object) -> bool:
        return True


@dataclass(frozen=True)
class LabelledFiles:
    """A labels file, the files that it names, and their keys in the training bucket.

    ``places`` is what people call its entries, ``entries`` what it says of each file.
    """

    labels: Source
    files: tuple[Source, ...]
    places: Places
    entries: tuple[LabelledSlice, ...]


@dataclass(frozen=True)
class Stored:
    """The result of sending: how many files were sent, how many were there already, and which failed."""

    sent: int
    kept: int
    failed: tuple[NotSubmitted, ...]


def read(path: Path) -> LabelledFiles:
    """Find the labels at ``path`` (a file, or a folder with one) and the files below its folder that they name.

    Everything gets keys below one prefix, made from the folder: corrected labels, or a few files more, send only
    themselves. The labels' key has the hash of their bytes, so that no run can read those of another. Raises
    ConfigProblem when there is no such file of labels, it cannot be read, or its entries name no file or several. It
    reads them as the workflow does, which judges everything else.
    """
    labels = _labels_file(path)
    check_link(labels)
    body = labels.read_bytes()
    try:
        labelled = labelling.parse(body, is_csv=labels.suffix.lower() == ".csv", labels=_AnyLabel(), with_names=True)
    except MalformedManifest as error:
        raise ConfigProblem(f"{labels} cannot be read: {error}", "docs/training.md shows the two forms.") from error
    by_path = {file.relative_to(labels.parent).as_posix(): file for file in files_below(labels.parent)}
    cohort = Cohort("", (ObjectVersion(key=key, version_id="", size=0) for key in by_path))

    def uids_of(versions: Sequence[ObjectVersion]) -> dict[str, tuple[str, str]]:
        return {one.key: _uids(by_path[one.key]) for one in versions}

    found, reasons = cohort.find(labelled.entries, labelled.places, uids_of)
    _check(labels, [*labelled.reasons, *reasons])
    prefix = f"{COHORTS}{_short_hash(f'{platform.node()}:{labels.parent.resolve()}'.encode())}/"
    files = tuple(Source(by_path[one.key], prefix + one.key, labels.parent) for one in found)
    check_keys(files)
    source = Source(labels, f"{prefix}labels-{_short_hash(body)}{labels.suffix.lower()}")
    return LabelledFiles(source, files, labelled.places, tuple(found))


def names_in(body: bytes, *, is_csv: bool) -> dict[int, str]:
    """Return the file that each entry of a labels file names, by the entry's line or number; {} if it is none."""
    try:
        return {one.line: one.filename for one in labelling.parse(body, is_csv=is_csv, labels=_AnyLabel()).entries}
    except MalformedManifest:
        return {}


def store(client: S3Client, bucket: str, labelled: LabelledFiles, advance: Callable[[], None]) -> Stored:
    """Send files that the bucket lacks or holds with other bytes, the labels last; ``advance`` after each.

    When a file fails the labels are not sent, so no run can start on half a cohort.
    """
    sizes = _sizes(client, bucket, labelled.labels.key.rpartition("/")[0] + "/")

    def send(source: Source) -> bool:
        """Send a file if needed; return whether it was sent."""
        with opened(source) as body:
            checksum = base64.b64encode(hashlib.file_digest(body, "sha256").digest()).decode()
            if sizes.get(source.key) == body.tell() and checksum_of(client, bucket, source.key) == checksum:
                return False
            body.seek(0)
            content_type = CONTENT_TYPES.get(source.path.suffix.lower(), "application/dicom")
            client.put_object(
                Bucket=bucket, Key=source.key, Body=body, ChecksumSHA256=checksum, ContentType=content_type
            )
        return True

    done, failed = each(send, labelled.files, advance)
    if not failed:
        _, failed = each(send, [labelled.labels], lambda: None)
    sent = sum(was_sent for _, was_sent in done)
    return Stored(sent, len(done) - sent, tuple(NotSubmitted(source, reason) for source, reason in failed))


def patient_of(path: Path) -> str:
    """Return what distinguishes a file's patient on this machine: PatientID or study; "" without a readable header."""
    header = _header(path)
    return (header.text("PatientID") or header.text("StudyInstanceUID")) if header else ""


def _uids(path: Path) -> tuple[str, str]:
    """Return the StudyInstanceUID and SeriesInstanceUID of a file; "" for those of one without a readable header."""
    header = _header(path)
    return (header.text("StudyInstanceUID"), header.text("SeriesInstanceUID")) if header else ("", "")


def _header(path: Path) -> Header | None:
    try:
        with path.open("rb") as file:
            return header_of(lambda length: _start(file, length), path.stat().st_size)
    except (Refusal, OSError):
        return None


def _start(file: BinaryIO, length: int) -> bytes:
    file.seek(0)
    return file.read(length)


def _short_hash(content: bytes) -> str:
    """Return a name that does not reveal the folder: its path may have a patient's name."""
    return hashlib.sha256(content).hexdigest()[:12]


def _labels_file(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in LABELS_FILES if (path / name).is_file()]
        if len(found) != 1:
            amount = "both" if found else "neither"
            raise ConfigProblem(
                f"{path} holds {amount} of {' and '.join(LABELS_FILES)}.", "Name the file of labels itself."
            )
        return found[0]
    if not path.is_file():
        raise ConfigProblem(f"There is no file or folder {str(path)!r}.", "Check the path.")
    if path.suffix.lower() not in CONTENT_TYPES:
        raise ConfigProblem(
            f"{path} is no file of labels by its name.", f"Name one like {' or '.join(LABELS_FILES)}, or its folder."
        )
    return path


def _check(labels: Path, reasons: Sequence[Reason]) -> None:
    if reasons:
        listed = " ".join(reason.message for reason in reasons[:NAMED])
        more = f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else ""
        raise ConfigProblem(f"{labels} does not fit its folder. {listed}{more}", "Nothing was uploaded.")


def _sizes(client: S3Client, bucket: str, prefix: str) -> dict[str, int]:
    """Return the size of each object below ``prefix``, by key: a missing or other size needs no HEAD."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


def checksum_of(client: S3Client, bucket: str, key: str) -> str:
    """Return the SHA-256 (base64) that S3 has of an object, or ""."""
    try:
        return client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED").get("ChecksumSHA256", "")
    except ClientError as error:
        if error_code(error) in GONE:
            return ""
        raise
