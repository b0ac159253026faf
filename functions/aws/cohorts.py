"""Labelled cohorts in the training bucket, as people put them, and the pinned copies of the slices that runs use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.aws.objects import GONE, copy_version, digest_in, read_head, refusals
from functions.domain import layout
from functions.domain.cohort import ObjectVersion
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.labelling import MOST_BYTES as MOST_MANIFEST_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# As the training reads at most (model_code/training/initial_weights.py).
MOST_WEIGHTS_BYTES = 256 * 1024**2
WEIGHTS = "weights.pth"
RENEWED = timedelta(days=7)  # with infra/validation.py's SLICE_RENEWED_DAYS


@dataclass(frozen=True, kw_only=True)
class ManifestVersion:
    """A manifest's bytes, the version that they are, and their SHA-256 (hex)."""

    body: bytes
    version_id: str
    sha256: str


class Cohorts:
    """Reads what people put below ``cohorts/``, by version, and pins it below ``slices/``.

    A job's manifest cannot name object versions: with the copy the job reads the very bytes of the snapshot. A copy's
    name identifies its version, so runs on the same cohort share copies.
    """

    def __init__(self, client: S3Client, bucket: str, data_key_arn: str = "") -> None:
        """``data_key_arn`` is the key of the stage's own buckets: objects under another one are refused by name."""
        self._client = client
        self.bucket = bucket
        self._data_key_arn = data_key_arn

    def manifest(self, key: str) -> ManifestVersion | None:
        """Return the newest version of a manifest, or None if it does not exist; raise Refusal if S3 refuses it.

        Of a manifest that is too long only the start is read, which shows that; no run uses its SHA-256.
        """
        try:
            with refusals(self._client, self.bucket, key, "null", self._data_key_arn):
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
        except Refusal as refusal:
            if refusal.code == RefusalCode.OBJECT_GONE:
                return None
            raise
        body = answer["Body"].read(MOST_MANIFEST_BYTES + 1)
        sha256 = hashlib.sha256(body).hexdigest()
        return ManifestVersion(body=body, version_id=answer.get("VersionId", "null"), sha256=sha256)

    def objects(self, folder: str) -> Iterator[ObjectVersion]:
        """Yield the newest version of every object below a folder, without deleted ones."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=folder)
        for page in pages:
            for entry in page.get("Versions", []):
                if entry["IsLatest"]:
                    yield ObjectVersion(key=entry["Key"], version_id=entry["VersionId"], size=entry["Size"])

    def head(self, key: str, version_id: str, length: int) -> bytes:
        """Return the first ``length`` bytes of an object version; raise Refusal if S3 refuses it."""
        with refusals(self._client, self.bucket, key, version_id, self._data_key_arn):
            return read_head(self._client, self.bucket, key, version_id, length)

    def pin(self, key: str, version_id: str, name: str) -> str:
        """Pin an object version as the copy ``name``, once; return the SHA-256 of its bytes (hex), computed by S3.

        Raises Refusal if S3 refuses the version.
        """
        known = self._pinned(name)
        if known:
            return known
        to = self.bucket, layout.slice_key(name)
        with refusals(self._client, self.bucket, key, version_id, self._data_key_arn):
            return copy_version(self._client, self.bucket, key, version_id, to=to)

    def pin_weights(self, key: str, run: str) -> tuple[str, str, str]:
        """Copy the newest version of the weights at ``key`` below the folder of ``run``.

        Returns the version, the copy's prefix, and the SHA-256 of its bytes (hex), computed by S3. A copy's prefix
        identifies its version, so another try of the run never replaces it. Raises Refusal if S3 refuses the object,
        or if it is too large.
        """
        with refusals(self._client, self.bucket, key, "null", self._data_key_arn):
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        if head["ContentLength"] > MOST_WEIGHTS_BYTES:
            raise Refusal(
                RefusalCode.TOO_LARGE,
                f"It has {head['ContentLength']:,} bytes; at most {MOST_WEIGHTS_BYTES:,} are taken.",
            )
        version = head.get("VersionId", "null")
        prefix = layout.weights_prefix(run, layout.upload_id(key, version))
        with refusals(self._client, self.bucket, key, version, self._data_key_arn):
            to = self.bucket, f"{prefix}{WEIGHTS}"
            binary = "application/octet-stream"
            sha256 = copy_version(self._client, self.bucket, key, version, to=to, content_type=binary)
        return version, prefix, sha256

    def _pinned(self, name: str) -> str | None:
        """Return the SHA-256 (hex) of a copy that an earlier run made; None if there is no usable copy.

        A copy is unusable without a checksum of all its bytes, or when it might expire during this run
        (``slices_kept_days``).
        """
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=layout.slice_key(name), ChecksumMode="ENABLED")
        except ClientError as error:
            if error_code(error) in GONE:
                return None
            raise
        young = datetime.now(UTC) - head["LastModified"] < RENEWED
        return digest_in(head) if young else None
