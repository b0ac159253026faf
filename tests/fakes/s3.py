"""S3 in memory: versions in buckets that keep them, ranged reads, conditional writes, checksummed copies."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.fakes.wire import client_error

NOW = datetime.now(UTC)


class FakeS3:
    """``objects[bucket, key]`` is the newest body; ``versions[bucket, key, version]`` every body of a version.

    ``reading(key)`` is called before an object is read, ``deleting(key)`` before one is deleted; both may raise.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.versions: dict[tuple[str, str, str], bytes] = {}
        self.newest: dict[tuple[str, str], str] = {}
        self.bytes_read = self.longest_read = 0
        self.clock: Callable[[], datetime] = lambda: NOW
        self.modified: dict[tuple[str, str], datetime] = {}
        self.markers: set[tuple[str, str, str]] = set()
        self.parts: list[tuple[str, str, str]] = []
        self.reads = 0
        self.copies = 0
        self.reading: Callable[[str], None] = lambda _key: None
        self.deleting: Callable[[str], None] = lambda _key: None

    def add_version(self, bucket: str, key: str, version: str, body: bytes) -> None:
        self.objects[bucket, key] = self.versions[bucket, key, version] = body
        self.newest[bucket, key] = version

    def get_object(self, **request: Any) -> Any:
        self.reading(request["Key"])
        body = self._body(request["Bucket"], request["Key"], request.get("VersionId"))
        if "Range" in request:
            first, last = map(int, request["Range"].removeprefix("bytes=").split("-"))
            if first >= len(body):
                raise client_error("InvalidRange", "The requested range is not satisfiable")
            body = body[first : last + 1]
        self.bytes_read += len(body)
        self.longest_read = max(self.longest_read, len(body))
        self.reads += 1
        where = request["Bucket"], request["Key"]
        return {"Body": io.BytesIO(body), "VersionId": request.get("VersionId") or self.newest.get(where, "null")}

    def copy_object(self, **request: Any) -> Any:
        source = request["CopySource"]
        body = self._body(source["Bucket"], source["Key"], source.get("VersionId"))
        self.copies += 1
        self.objects[request["Bucket"], request["Key"]] = body
        return {"CopyObjectResult": {"ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode()}}

    def put_object(self, **request: Any) -> Any:
        where = request["Bucket"], request["Key"]
        if request.get("IfNoneMatch") == "*" and where in self.objects:
            raise client_error("PreconditionFailed", "the key exists")
        body = request["Body"]
        body = body if isinstance(body, bytes) else body.read()
        if where in self.newest:
            self.add_version(*where, f"after {self.newest[where]}", body)
        self.objects[where] = body
        self.modified[where] = self.clock()
        return {}

    def delete_objects(self, **request: Any) -> Any:
        assert len(request["Delete"]["Objects"]) <= 1000
        for entry in request["Delete"]["Objects"]:
            self.deleting(entry["Key"])
            self._delete((request["Bucket"], entry["Key"]), entry.get("VersionId"))
        return {}

    def _delete(self, where: tuple[str, str], version: str | None) -> None:
        self.markers.discard((*where, version or ""))
        if version and version != "null":
            self.versions.pop((*where, version), None)
        if version in {None, "null", self.newest.get(where)}:
            self.objects.pop(where, None)
            self.newest.pop(where, None)

    def list_multipart_uploads(self, **request: Any) -> Any:
        found = [part for part in self.parts if part[0] == request["Bucket"] and part[1].startswith(request["Prefix"])]
        return {"Uploads": [{"Key": key, "UploadId": upload} for _, key, upload in found]}

    def abort_multipart_upload(self, **request: Any) -> Any:
        self.parts.remove((request["Bucket"], request["Key"], request["UploadId"]))
        return {}

    def head_object(self, **request: Any) -> Any:
        if (request["Bucket"], request["Key"]) not in self.objects:
            raise client_error("404", "Not Found")
        body = self._body(request["Bucket"], request["Key"], None)
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        where = request["Bucket"], request["Key"]
        return {
            "ChecksumSHA256": checksum,
            "LastModified": self.modified.get(where, NOW),
            "ContentLength": len(body),
            "VersionId": self.newest.get(where, "null"),
        }

    def list_objects_v2(self, **request: Any) -> Any:
        keys = [key for bucket, key in self.objects if bucket == request["Bucket"]]
        return {"Contents": [{"Key": key} for key in sorted(keys) if key.startswith(request["Prefix"])]}

    def list_object_versions(self, **request: Any) -> Any:
        entries = [
            {
                "Key": key,
                "VersionId": version,
                "Size": len(body),
                "IsLatest": self.newest.get((bucket, key)) == version,
            }
            for (bucket, key, version), body in self.versions.items()
            if bucket == request["Bucket"] and key.startswith(request["Prefix"])
        ]
        entries += [
            {"Key": key, "VersionId": "null", "Size": len(body), "IsLatest": True}
            for (bucket, key), body in self.objects.items()
            if bucket == request["Bucket"] and key.startswith(request["Prefix"]) and (bucket, key) not in self.newest
        ]
        markers = [
            {"Key": key, "VersionId": version, "IsLatest": True}
            for bucket, key, version in self.markers
            if bucket == request["Bucket"] and key.startswith(request["Prefix"])
        ]
        return {"Versions": entries, "DeleteMarkers": markers}

    def _body(self, bucket: str, key: str, version: str | None) -> bytes:
        try:
            return self.versions[bucket, key, version] if version else self.objects[bucket, key]
        except KeyError:
            raise client_error("NoSuchVersion" if version else "NoSuchKey", key) from None
