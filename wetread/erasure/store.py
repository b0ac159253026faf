"""Versions of objects in versioned and unversioned buckets, found and deleted for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wetread.problems import Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_DELETES = 1000  # of one DeleteObjects


@dataclass(frozen=True)
class Version:
    """One version of an object, or a delete marker (``size`` is -1 then)."""

    bucket: str
    key: str
    version_id: str
    size: int = 0
    latest: bool = True

    @property
    def is_marker(self) -> bool:
        """Whether it is a delete marker."""
        return self.size < 0


def versions_below(client: S3Client, bucket: str, prefix: str) -> Iterator[Version]:
    """Yield every version and delete marker of every object with a key that begins with ``prefix``."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Versions", []):
            yield Version(bucket, entry["Key"], entry["VersionId"], entry["Size"], entry["IsLatest"])
        for marker in page.get("DeleteMarkers", []):
            yield Version(bucket, marker["Key"], marker["VersionId"], -1, marker["IsLatest"])


def versions_of(client: S3Client, bucket: str, key: str) -> list[Version]:
    """Return every version and delete marker of one object; keys that only share its beginning are left out."""
    return [one for one in versions_below(client, bucket, key) if one.key == key]


def uploads_in_parts(client: S3Client, bucket: str, key: str) -> list[str]:
    """Return the ids of the multipart uploads of one key that have not been completed."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
    return [entry["UploadId"] for page in pages for entry in page.get("Uploads", []) if entry["Key"] == key]


def delete_for_good(client: S3Client, versions: Iterable[Version]) -> None:
    """Delete versions and markers; a missing one is no error. Raises Problem for versions that S3 does not delete."""
    by_bucket: dict[str, list[Version]] = {}
    for one in dict.fromkeys(versions):
        by_bucket.setdefault(one.bucket, []).append(one)
    kept: list[str] = []
    for bucket, found in by_bucket.items():
        for start in range(0, len(found), MOST_DELETES):
            objects: Any = [
                {"Key": one.key, "VersionId": one.version_id} for one in found[start : start + MOST_DELETES]
            ]
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            kept += [one.get("Code", "") for one in answer.get("Errors", [])]
    if kept:  # S3 reports each object, and succeeds as a whole
        raise Problem(
            f"S3 did not delete {len(kept)} object versions: {', '.join(sorted(set(kept)))}.",
            "Grant s3:DeleteObject and s3:DeleteObjectVersion, or wait, then run the command again: it continues.",
        )
