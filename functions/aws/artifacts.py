"""The artifacts in the models bucket, each under the digest of its bytes, and whether they are unchanged."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from aggregation.rule import MOST_BYTES
from functions.aws.items import error_code
from functions.aws.objects import GONE
from functions.aws.puts import put_once
from functions.domain import layout

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Artifacts:
    """The model.tar.gz files of one models bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def uri(self, sha256: str) -> str:
        """Return where the artifact with this digest (hex) is."""
        return layout.uri(self._bucket, layout.artifact_key(sha256))

    def digest_in(self, uri: str) -> str:
        """Return the digest (hex) in an artifact's URI; "" for any other URI."""
        sha256 = uri.rpartition("/")[0].rpartition("/")[2]
        return sha256 if uri == self.uri(sha256) else ""

    def keep(self, path: Path, sha256: str) -> bool:
        """Store a file under its digest (hex), once; return False if the key has other bytes.

        S3 computes the digest of what arrives and refuses bytes that have another. Bytes that exist already stay.
        """
        with path.open("rb") as body:
            if self._put_once(layout.artifact_key(sha256), body, {"ChecksumSHA256": _checksum(sha256)}):
                return True
        return self.is_intact(sha256)

    def keep_study_rule(self, sha256: str, rule: str) -> None:
        """Store how the model of an artifact reads studies, once; what is there already stays."""
        self._put_once(layout.study_rule_key(sha256), io.BytesIO(rule.encode()))

    def study_rule(self, sha256: str, expected_sha256: str) -> str | None:
        """Return how the model of an artifact reads studies; None if that is gone, or has another digest (hex)."""
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=layout.study_rule_key(sha256))["Body"]
            rule = body.read(MOST_BYTES + 1)
        except ClientError as error:
            if error_code(error) in GONE:
                return None
            raise
        return rule.decode() if hashlib.sha256(rule).hexdigest() == expected_sha256 else None

    def is_intact(self, sha256: str) -> bool:
        """Return whether the artifact is there, and S3 computed this digest of its bytes when they were put."""
        try:
            head = self._client.head_object(
                Bucket=self._bucket, Key=layout.artifact_key(sha256), ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error_code(error) in GONE:
                return False
            raise
        # Compared as text: the checksum of a multipart object is not base64.
        return head.get("ChecksumSHA256") == _checksum(sha256)

    def _put_once(self, key: str, body: IO[bytes], checksum: Mapping[str, str] | None = None) -> bool:
        """Put an object unless the key has one already; return whether it was put."""
        asked: Any = {"Bucket": self._bucket, "Key": key, "Body": body, **(checksum or {})}
        return put_once(self._client, asked)


def _checksum(sha256: str) -> str:
    """Return a digest (hex) as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()
