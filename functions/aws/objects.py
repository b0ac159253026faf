"""The buckets: heads and pinned copies of uploads, documents of batches, outputs of jobs, result documents."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.errors import MalformedDocument, Refusal, RefusalCode
from functions.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_DELETES = 1000  # of one DeleteObjects
MOST_DOCUMENT_BYTES = (
    1024**2
)  # of a manifest or a result; a manifest of 10,000 uploads, the most of a batch, has 600 KB
MOST_RUN_DOCUMENT_BYTES = 64 * 1024**2  # of what a training run writes: a snapshot names up to 50,000 slices
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "404"})


class Uploads:
    """The uploads bucket, where people write, and the pinned copies in the work bucket that jobs read.

    A SageMaker manifest cannot name object versions. The copy is what makes a job read the very bytes of the row: an
    overwrite or a delete while it waits or runs changes nothing.
    """

    def __init__(self, client: S3Client, bucket: str, work_bucket: str) -> None:
        self._client = client
        self.bucket = bucket
        self._work_bucket = work_bucket

    def head(self, key: str, version_id: str, length: int) -> bytes:
        """The first ``length`` bytes of an object version; refuse one that is gone."""
        return read_head(self._client, self.bucket, key, version_id, length)

    def pin(self, key: str, version_id: str, name: str) -> str:
        """Copy an object version to where jobs read it, as ``name`` (``layout.instance_name``).

        Returns the SHA-256 of its bytes (hex), computed by S3. Refuses a version that is gone.
        """
        to = self._work_bucket, layout.instance_key(name)
        return copy_version(self._client, self.bucket, key, version_id, to=to)

    def unpin(self, name: str) -> None:
        """Delete a pinned copy that nobody will read, by its ``instance_name``."""
        Documents(self._client, self._work_bucket).delete([layout.instance_key(name)])


def read_head(client: S3Client, bucket: str, key: str, version_id: str, length: int) -> bytes:
    """The first ``length`` bytes of an object version; raises Refusal for one that is gone."""
    version: Any = {} if version_id == "null" else {"VersionId": version_id}
    try:
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}", **version)
    except ClientError as error:
        raise _gone(error) from error
    return answer["Body"].read()


def copy_version(client: S3Client, bucket: str, key: str, version_id: str, *, to: tuple[str, str]) -> str:
    """Copy a DICOM object version to another bucket and key; return the SHA-256 of its bytes (hex), computed by S3.

    Raises Refusal for a version that is gone.
    """
    source: Any = {"Bucket": bucket, "Key": key}
    if version_id != "null":
        source["VersionId"] = version_id
    try:
        answer = client.copy_object(
            Bucket=to[0],
            Key=to[1],
            CopySource=source,
            ChecksumAlgorithm="SHA256",
            ContentType="application/dicom",
            MetadataDirective="REPLACE",  # a person's own metadata stays with the person's own object
            TaggingDirective="REPLACE",
        )
    except ClientError as error:
        raise _gone(error) from error
    return hex_of(answer["CopyObjectResult"]["ChecksumSHA256"])


def hex_of(checksum: str) -> str:
    """The hex form of one of S3's base64 checksums."""
    return base64.b64decode(checksum).hex()


class Documents:
    """JSON documents and outputs in one bucket; what is read of one has a bound, in ``most_bytes``."""

    def __init__(self, client: S3Client, bucket: str, most_bytes: int = MOST_DOCUMENT_BYTES) -> None:
        self._client = client
        self.bucket = bucket
        self._most_bytes = most_bytes

    def read(self, key: str) -> Any:
        """One JSON document; raises MalformedDocument for one that is longer than the bound, or is not JSON."""
        body = self.read_bytes(key)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedDocument(f"The document is not JSON: {type(error).__name__}.") from error

    def read_bytes(self, key: str) -> bytes:
        """One object's bytes; raises MalformedDocument for more than the bound."""
        body = self.read_start(key, self._most_bytes + 1)
        if len(body) > self._most_bytes:
            raise MalformedDocument(f"The document has more than {self._most_bytes:,} bytes.")
        return body

    def read_start(self, key: str, length: int) -> bytes:
        """The first ``length`` bytes of an object; all, if it has no more."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{length - 1}")
        except ClientError as error:
            if error_code(error) == "InvalidRange":  # an empty object has no first byte
                return b""
            raise
        return answer["Body"].read(length)

    def write(self, key: str, document: Any) -> None:
        """Write a JSON document, whatever the key has."""
        body = json.dumps(document, separators=(",", ":")).encode()
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")

    def find(self, key: str) -> bytes | None:
        """One object's bytes; None when there is none."""
        try:
            return self.read_bytes(key)
        except ClientError as error:
            if error_code(error) in GONE:
                return None
            raise

    def download(self, key: str, path: Path) -> None:
        """Store one object's bytes as a file."""
        body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)

    def write_once(self, key: str, document: Any) -> bool:
        """Write a JSON document unless the key has one; False when it has, and that one stays."""
        body = json.dumps(document, separators=(",", ":")).encode()
        for last in (False, False, False, True):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
                )
            except ClientError as error:
                if error_code(error) == "PreconditionFailed":
                    return False
                # Two writers at once: S3 asks to try again, and does not say that either has written.
                if error_code(error) != "ConditionalRequestConflict" or last:
                    raise
            else:
                break
        return True

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is not there is no error, one that stays expires with the bucket's rule."""
        for start in range(0, len(keys), MOST_DELETES):
            objects: Any = [{"Key": key} for key in keys[start : start + MOST_DELETES]]
            answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            kept = [one.get("Code", "") for one in answer.get("Errors", [])]
            if kept:  # S3 answers for each object, and with success for all
                logger.error("objects not deleted", extra={"objects": len(kept), "codes": sorted(set(kept))})

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys below a prefix."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def _gone(error: ClientError) -> Exception:
    """A Refusal when the object version is not there (any more), otherwise the error itself: AWS trouble is retried."""
    if error_code(error) in GONE:
        return Refusal(
            RefusalCode.OBJECT_GONE, "The object version was deleted before it could be read; upload it again."
        )
    return error
