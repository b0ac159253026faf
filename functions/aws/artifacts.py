"""The artifacts in the models bucket, each under the digest of its bytes, and whether it still is what it was."""

from __future__ import annotations

import base64
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
        """Where the artifact with this digest (hex) is."""
        return layout.uri(self._bucket, layout.artifact_key(sha256))

    def is_intact(self, sha256: str) -> bool:
        """Whether the artifact is there, and S3 computed this digest of its bytes when they were put."""
        try:
            head = self._client.head_object(
                Bucket=self._bucket, Key=layout.artifact_key(sha256), ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error_code(error) in GONE:
                return False
            raise
        return base64.b64decode(head.get("ChecksumSHA256", "")).hex() == sha256
