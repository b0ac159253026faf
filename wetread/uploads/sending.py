"""Send files to the uploads bucket, and the Uploads that they become."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.instance import Served
from wetread.parallel import each
from wetread.uploads.archives import unpacked
from wetread.uploads.files import opened
from wetread.uploads.planning import Candidate
from wetread.uploads.sent import Sent
from wetread.uploads.sorting import Group, Identifiers, Unsent, look

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTENT_TYPE = "application/dicom"
PART_BYTES = 16 * 1024**2
SINGLE_PUT_BYTES = 64 * 1024**2
LARGEST_PUT_BYTES = 5 * 1024**3  # S3's limit for one request
UNVERSIONED = "null"  # S3's version id of objects in an unversioned bucket


@dataclass(frozen=True)
class Submitted:
    """A file that is in the bucket now, as the Upload ``upload_id``; ``again``: an earlier command sent it.

    ``identifiers`` are those that the file has; None where none can be read.
    """

    candidate: Candidate
    version_id: str
    again: bool = False
    identifiers: Identifiers | None = None

    @property
    def key(self) -> str:
        """The key of its object."""
        return self.candidate.source.key

    @property
    def upload_id(self) -> str:
        """The id of its Upload."""
        return layout.upload_id(self.key, self.version_id)


@dataclass(frozen=True)
class Fitting:
    """A file that a dry run would send."""

    candidate: Candidate


@dataclass(frozen=True)
class Uploader:
    """Where files are sent to, and the record of earlier submissions; ``again`` sends those files too."""

    client: S3Client
    bucket: str
    sent: Sent | None = None
    again: bool = False

    def put(self, key: str, body: IO[bytes], content_type: str = CONTENT_TYPE) -> tuple[str, bool]:
        """Send one file, and return the id of the object version that it became, and whether it was there before.

        What was sent before is sent only if no object has its key any more, erased for instance: S3 says so to a
        sender who may read nothing.
        """
        body.seek(0)
        digest = hashlib.file_digest(body, "sha256")  # type: ignore[arg-type]
        size, checksum = body.tell(), base64.b64encode(digest.digest()).decode()
        known = None
        if self.sent and not self.again:
            known = self.sent.version_of(key, size, digest.hexdigest())
        body.seek(0)
        if known and size <= LARGEST_PUT_BYTES:
            try:
                version = self._put(key, body, checksum, content_type, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) != "PreconditionFailed":
                    raise
                return known, True
        elif size > SINGLE_PUT_BYTES:
            version = _put_in_parts(self.client, self.bucket, key, body)
        else:
            version = self._put(key, body, checksum, content_type)
        if self.sent:
            self.sent.add(key, size, digest.hexdigest(), version)
        return version, False

    def _put(self, key: str, body: IO[bytes], checksum: str, content_type: str, **condition: str) -> str:
        """Send a file whose bytes S3 compares with ``checksum``."""
        answer = self.client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            ChecksumSHA256=checksum,
            **condition,  # type: ignore[arg-type]
        )
        return answer.get("VersionId", UNVERSIONED)


@dataclass(frozen=True)
class Outcome:
    """What became of candidates, each in their order; ``fitting`` in a dry run alone.

    ``unfinished`` are the studies of files that could not be sent, as the files say them; "" for one that says none.
    """

    done: list[Submitted]
    fitting: list[Fitting]
    unsent: list[Unsent]
    unfinished: frozenset[str] = frozenset()


def send(
    candidates: Sequence[Candidate], served: Served | None, uploader: Uploader | None, advance: Callable[[], None]
) -> Outcome:
    """Look at files and send in parallel those for this service; without an ``uploader`` send nothing.

    ``advance`` is called after each file. A file that fails does not stop the others. What is sent are the bytes that
    were looked at, also if another file takes the place of one. Without ``served`` all DICOM objects are sent.
    """
    studies: dict[Candidate, str] = {}

    def take(candidate: Candidate) -> Submitted | Fitting | Unsent:
        with content(candidate) as body:
            seen = look(body, candidate.content_name, None if candidate.is_named else served)
            studies[candidate] = seen.identifiers.study if seen.identifiers else ""
            if seen.obstacle:
                return Unsent(candidate.name, *seen.obstacle)
            if uploader is None:
                return Fitting(candidate)
            version, again = uploader.put(candidate.source.key, body)
            return Submitted(candidate, version, again, seen.identifiers)

    return _outcome(each(take, candidates, advance), studies)


def send_all(uploader: Uploader, candidates: Sequence[Candidate], advance: Callable[[], None]) -> Outcome:
    """Send files in parallel, whatever is in them; ``advance`` is called after each."""

    def take(candidate: Candidate) -> Submitted:
        with content(candidate) as body:
            return Submitted(candidate, *uploader.put(candidate.source.key, body))

    return _outcome(each(take, candidates, advance), {})


def _outcome(
    taken: tuple[Sequence[tuple[Candidate, Submitted | Fitting | Unsent]], Sequence[tuple[Candidate, str]]],
    studies: Mapping[Candidate, str],
) -> Outcome:
    answers, failed = [answer for _, answer in taken[0]], taken[1]
    lost = [one for one, answer in taken[0] if isinstance(answer, Unsent) and answer.group.fails]
    lost += [one for one, _ in failed]
    return Outcome(
        done=[one for one in answers if isinstance(one, Submitted)],
        fitting=[one for one in answers if isinstance(one, Fitting)],
        unsent=[one for one in answers if isinstance(one, Unsent)]
        + [Unsent(candidate.name, Group.FAILED, reason) for candidate, reason in failed],
        unfinished=frozenset(studies.get(one, "") for one in lost),
    )


@contextmanager
def content(candidate: Candidate) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file, or of the file in an archive; raise OSError where it cannot be read."""
    if candidate.member:
        with unpacked(candidate.member) as body:
            yield body
    else:
        with opened(candidate.source) as body:
            yield body


def _put_in_parts(client: S3Client, bucket: str, key: str, body: IO[bytes]) -> str:
    """Send a big file part by part: boto3's own transfer does not return the version that it made."""
    started = client.create_multipart_upload(
        Bucket=bucket, Key=key, ContentType=CONTENT_TYPE, ChecksumAlgorithm="CRC32"
    )
    upload_id = started["UploadId"]
    try:
        parts = []
        for number, part in enumerate(iter(lambda: body.read(PART_BYTES), b""), start=1):
            answer = client.upload_part(
                Bucket=bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,
                ChecksumAlgorithm="CRC32",
            )
            parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
        completed = client.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        )
    except BaseException:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        raise
    return completed.get("VersionId", UNVERSIONED)
