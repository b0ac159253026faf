"""The buckets: heads and pinned copies of uploads, documents of batches, outputs of jobs, result documents."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code, error_message
from functions.aws.puts import put_once
from functions.aws.trouble import OF_KMS
from functions.domain import layout
from functions.domain.errors import MalformedDocument, Refusal, RefusalCode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

PIECE_BYTES = 1024**2  # read at once
MOST_DELETES = 1000  # of one DeleteObjects
# Of a manifest or a result. A manifest of 10,000 uploads, the most of a batch, has 600 KB.
MOST_DOCUMENT_BYTES = 1024**2
MOST_RUN_DOCUMENT_BYTES = 64 * 1024**2  # of what a training run writes: a snapshot names up to 50,000 slices
# An answer without a body that can be read has no code: botocore then gives the number of its status.
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "404", "405"})
ARCHIVED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
UNDER_A_CUSTOMERS_KEY = "InvalidRequest"  # S3 wants the key's headers, which only the uploader has
BAD_REQUEST = "400"
DENIED = frozenset({"AccessDenied", "403"})
UNCLEAR = DENIED | {BAD_REQUEST}  # the object's attributes may say why
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})  # storage classes
SENTENCES = {
    RefusalCode.OBJECT_GONE: "The object version was deleted before it could be read; upload it again.",
    RefusalCode.ARCHIVED: (
        "The object lies in an archive (GLACIER, DEEP_ARCHIVE or an archive access tier), from which S3 reads nothing; "
        "upload it again in the storage class STANDARD."
    ),
    RefusalCode.CUSTOMER_KEY: (
        "S3 does not give the object without more headers (InvalidRequest): it is encrypted with a key of the "
        "uploader's own (SSE-C); upload it again without one."
    ),
    RefusalCode.FOREIGN_KEY: (
        "The object is encrypted with a KMS key that the service may not use; upload it again without naming a key."
    ),
}
_KEY_ARN = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


_IS_SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=")


class Uploads:
    """The uploads bucket, where people write, and the pinned copies in the work bucket that jobs read.

    A SageMaker manifest cannot name object versions. With the copy a job reads the very bytes of the row: an overwrite
    or a delete while it waits or runs changes nothing.
    """

    def __init__(self, client: S3Client, bucket: str, work_bucket: str, data_key_arn: str = "") -> None:
        """``data_key_arn`` is the key of the stage's own buckets: objects under another one are refused by name."""
        self._client = client
        self.bucket = bucket
        self._work_bucket = work_bucket
        self._data_key_arn = data_key_arn

    def head(self, key: str, version_id: str, length: int) -> bytes:
        """Return the first ``length`` bytes of an object version; raise Refusal if S3 refuses it for good."""
        with refusals(self._client, self.bucket, key, version_id, self._data_key_arn):
            return read_head(self._client, self.bucket, key, version_id, length)

    def pin(self, key: str, version_id: str, name: str) -> str:
        """Copy an object version to where jobs read it, as ``name`` (``layout.instance_name``).

        Returns the SHA-256 of its bytes (hex), computed by S3. Raises Refusal as ``head`` does.
        """
        to = self._work_bucket, layout.instance_key(name)
        with refusals(self._client, self.bucket, key, version_id, self._data_key_arn):
            return copy_version(self._client, self.bucket, key, version_id, to=to)

    def unpin(self, name: str) -> None:
        """Delete a pinned copy that no job will read, by its ``instance_name``."""
        Documents(self._client, self._work_bucket).delete([layout.instance_key(name)])


def read_head(client: S3Client, bucket: str, key: str, version_id: str, length: int) -> bytes:
    """Return the first ``length`` bytes of an object version."""
    answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}", **_version(version_id))
    return answer["Body"].read()


def copy_version(
    client: S3Client,
    bucket: str,
    key: str,
    version_id: str,
    *,
    to: tuple[str, str],
    content_type: str = "application/dicom",
) -> str:
    """Copy an object version to another bucket and key; return the SHA-256 of its bytes (hex)."""
    source: Any = {"Bucket": bucket, "Key": key, **_version(version_id)}
    answer = client.copy_object(
        Bucket=to[0],
        Key=to[1],
        CopySource=source,
        ChecksumAlgorithm="SHA256",
        ContentType=content_type,
        MetadataDirective="REPLACE",  # a person's metadata stays with the person's object
        TaggingDirective="REPLACE",
    )
    return digest_in(answer["CopyObjectResult"]) or _sha256_of(client, bucket, key, version_id)


def digest_in(answer: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 (hex) of an object's bytes that S3 gives in an answer; None if it gives none of all bytes.

    S3 may pass on the checksum of an upload in parts, which is that of the parts' checksums: "...=-2".
    """
    checksum = answer.get("ChecksumSHA256", "")
    of_parts = answer.get("ChecksumType") == "COMPOSITE" or not _IS_SHA256.fullmatch(checksum)
    return None if of_parts else base64.b64decode(checksum).hex()


def _sha256_of(client: S3Client, bucket: str, key: str, version_id: str) -> str:
    """Return the SHA-256 (hex) of the bytes of an object version, read in pieces."""
    digest = hashlib.sha256()
    body = client.get_object(Bucket=bucket, Key=key, **_version(version_id))["Body"]
    while piece := body.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def refusals(client: S3Client, bucket: str, key: str, version_id: str, data_key_arn: str) -> Iterator[None]:
    """Raise Refusal where S3 refuses an object version for good; let every other error pass.

    ``data_key_arn`` is the key of the service's own objects ("" if unknown).
    """
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        refused = _for_good(code)
        if refused is None and (code in UNCLEAR or code.startswith(OF_KMS)):
            named = _KEY_ARN.search(error_message(error))
            if named:
                refused = _by_key(named.group(), data_key_arn)
            else:
                refused = _by_attributes(client, bucket, key, version_id, data_key_arn, unclear=code)
        if refused is None:
            raise
        raise Refusal(refused, SENTENCES[refused]) from error


def _for_good(code: str) -> RefusalCode | None:
    """Return the code of what S3's own code refuses for good; None if it says nothing about one object."""
    if code in GONE:
        return RefusalCode.OBJECT_GONE
    if code in ARCHIVED:
        return RefusalCode.ARCHIVED
    return RefusalCode.CUSTOMER_KEY if code == UNDER_A_CUSTOMERS_KEY else None


def _by_key(used: str, data_key_arn: str) -> RefusalCode | None:
    """Return ForeignKey for a KMS key that is known not to be the service's own."""
    return RefusalCode.FOREIGN_KEY if data_key_arn and used not in {"", data_key_arn} else None


def _by_attributes(
    client: S3Client, bucket: str, key: str, version_id: str, data_key_arn: str, *, unclear: str
) -> RefusalCode | None:
    """Return why S3 refuses an object version for good, by its attributes; None if they do not say.

    HeadObject needs no permission on the object's key, and answers for an archived object too. Its errors have no body,
    so their codes are numbers: 400 for an object under a key of the uploader's own.
    """
    try:
        seen = client.head_object(Bucket=bucket, Key=key, **_version(version_id))
    except ClientError as error:
        if unclear == error_code(error) == BAD_REQUEST:
            return RefusalCode.CUSTOMER_KEY
        return _for_good(error_code(error))
    restored = 'ongoing-request="false"' in seen.get("Restore", "")
    if (seen.get("StorageClass") in ARCHIVES or seen.get("ArchiveStatus")) and not restored:
        return RefusalCode.ARCHIVED
    return _by_key(seen.get("SSEKMSKeyId", ""), data_key_arn)


def _version(version_id: str) -> Any:
    """Return the request's part that names a version; empty in a bucket without versions."""
    return {} if version_id == "null" else {"VersionId": version_id}


class Documents:
    """JSON documents and outputs in one bucket. At most ``most_bytes`` are read of each."""

    def __init__(self, client: S3Client, bucket: str, most_bytes: int = MOST_DOCUMENT_BYTES) -> None:
        self._client = client
        self.bucket = bucket
        self._most_bytes = most_bytes

    def read(self, key: str) -> Any:
        """Return one JSON document; raise MalformedDocument if it is longer than the bound, or not JSON."""
        body = self.read_bytes(key)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedDocument(f"The document is not JSON: {type(error).__name__}.") from error

    def read_bytes(self, key: str) -> bytes:
        """Return one object's bytes; raise MalformedDocument for more than the bound."""
        body = self.read_start(key, self._most_bytes + 1)
        if len(body) > self._most_bytes:
            raise MalformedDocument(f"The document has more than {self._most_bytes:,} bytes.")
        return body

    def read_start(self, key: str, length: int) -> bytes:
        """Return the first ``length`` bytes of an object, or all if it has fewer."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{length - 1}")
        except ClientError as error:
            if error_code(error) == "InvalidRange":  # an empty object has no first byte
                return b""
            raise
        return answer["Body"].read(length)

    def write(self, key: str, document: Any) -> None:
        """Write a JSON document, replacing an existing one."""
        body = json.dumps(document, separators=(",", ":")).encode()
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")

    def find(self, key: str) -> bytes | None:
        """Return one object's bytes, or None if it does not exist."""
        try:
            return self.read_bytes(key)
        except ClientError as error:
            if error_code(error) in GONE:
                return None
            raise

    def written_at(self, key: str) -> datetime:
        """Return when an object was written, by S3's clock."""
        return self._client.head_object(Bucket=self.bucket, Key=key)["LastModified"].astimezone(UTC)

    def download(self, key: str, path: Path) -> None:
        """Store one object's bytes as a file."""
        body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)

    def write_once(self, key: str, document: Any) -> bool:
        """Write a JSON document unless the key has one; return False if it has, and leave that one."""
        return self.write_bytes_once(key, json.dumps(document, separators=(",", ":")).encode(), "application/json")

    def write_bytes_once(self, key: str, body: bytes, content_type: str) -> bool:
        """Write an object unless the key has one; return False if it has, and leave that one."""
        asked = {"Bucket": self.bucket, "Key": key, "Body": body, "ContentType": content_type}
        return put_once(self._client, asked)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. An absent one is not an error; one that S3 keeps expires with the bucket's rule."""
        for start in range(0, len(keys), MOST_DELETES):
            objects: Any = [{"Key": key} for key in keys[start : start + MOST_DELETES]]
            answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            kept = [one.get("Code", "") for one in answer.get("Errors", [])]
            if kept:  # S3 reports each object's error in an answer that is a success
                logger.error("objects not deleted", extra={"objects": len(kept), "codes": sorted(set(kept))})

    def purge(self, prefix: str) -> None:
        """Delete every version of all objects below a prefix; raise OSError if S3 keeps one."""
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: Any = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if objects:
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
                if answer.get("Errors"):
                    raise OSError(f"S3 keeps {len(answer['Errors'])} of {len(objects)} object versions.")

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below a prefix."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]
