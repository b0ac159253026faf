"""The artifacts in the models bucket, each under the digest of its bytes, and whether they are unchanged."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.aws.objects import GONE
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
        for last in (False, False, False, True):
            try:
                with path.open("rb") as body:
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=layout.artifact_key(sha256),
                        Body=body,
                        ChecksumSHA256=_checksum(sha256),
                        IfNoneMatch="*",  # the bucket's policy refuses a put without it
                    )
            except ClientError as error:
                if error_code(error) == "PreconditionFailed":
                    return self.is_intact(sha256)
                # Two writers at once: S3 asks for another try, and does not say whether either has written.
                if error_code(error) != "ConditionalRequestConflict" or last:
                    raise
            else:
                break
        return True

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


def _checksum(sha256: str) -> str:
    """Return a digest (hex) as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()
