"""S3: checksums of copies, ranges of versions, version ids in events, and no bodies in memory."""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from localcloud.patches import s3_missing
from localcloud.patches.patching import PatchError, emulator, replace

_COPY_END = b"</CopyObjectResult>"
_ALGORITHM_HEADERS = ("x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm")
_OF_PARTS = re.compile(r"-\d+\Z")
_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})")
_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version of the object", default=None)
_FIRE_PARAMETERS = (
    "bucket_name",
    "key",
    "event_name",
    "size",
    "etag",
    "deletion_type",
    "restore_event_data",
    "version_id",
    "sequencer",
    "object_extra",
    "record_extra",
)


def install() -> None:
    """Install the patches of this service."""
    install_copy_checksums()
    install_versions_on_disk()
    install_version_ranges()
    install_version_ids_in_events()
    s3_missing.install()


def install_copy_checksums() -> None:
    """Let CopyObject compute the checksum that it is asked for, and return it.

    The emulator reads `x-amz-sdk-checksum-algorithm` only, but the SDK sends `x-amz-checksum-algorithm` with a copy. It
    also leaves the checksum out of the CopyObjectResult. The checksum of an upload in parts, if it has the algorithm
    that is asked for, is passed on as it is ("...=-2", COMPOSITE). AWS's documents disagree (read on 2026-11-29). The
    model of CopyObject in botocore 1.43.106, at ChecksumAlgorithm: "if the source object has a checksum, that checksum
    value will be copied to the new object by default". The User Guide, "Checking object integrity for data uploads":
    "With a copy command, the checksum of the object is a direct checksum of the full object." A caller has to do with
    both, so it meets the harder one here.
    """
    emulator("services.s3", "_buckets", "_object_versions")
    replace("services.s3", "_copy_object", ("bucket_name", "dest_key", "headers"), _with_checksum)


def _with_checksum(original: Callable[..., Any]) -> Callable[..., Any]:
    s3 = emulator("services.s3")

    def copy_object(bucket_name: str, dest_key: str, headers: dict[str, str]) -> Any:
        algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
        composite = _is_composite(_source_checksums(headers), algorithm)
        if composite:
            headers = {name: value for name, value in headers.items() if name not in _ALGORITHM_HEADERS}
        elif algorithm:
            headers = {**headers, "x-amz-sdk-checksum-algorithm": algorithm}
        status, answer, body = original(bucket_name, dest_key, headers)
        if status != 200 or not body.endswith(_COPY_END):
            return status, answer, body
        copy = s3._buckets[bucket_name]["objects"][dest_key]
        checksums = copy["checksums"]
        if _is_composite(checksums, algorithm):
            copy["checksum_type"] = "COMPOSITE"
        members = "".join(
            f"<Checksum{name}>{escape(value)}</Checksum{name}>"
            for name, value in checksums.items()
            if name == algorithm or not algorithm
        )
        if members:
            members += f"<ChecksumType>{copy.get('checksum_type') or 'FULL_OBJECT'}</ChecksumType>"
        return status, answer, body.removesuffix(_COPY_END) + members.encode() + _COPY_END

    return copy_object


def _source_checksums(headers: dict[str, str]) -> dict[str, str]:
    """Return the checksums of the object version that a copy reads, by algorithm; {} if there is no such version."""
    s3 = emulator("services.s3")
    path, _, version = headers.get("x-amz-copy-source", "").partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    if version:
        versions = s3._object_versions.get((bucket, key), [])
        found = next((entry for entry in versions if entry["version_id"] == version), None)
    else:
        found = s3._buckets.get(bucket, {}).get("objects", {}).get(key)
    return dict((found or {}).get("checksums") or {})


def _is_composite(checksums: dict[str, str], algorithm: str) -> bool:
    """Return whether a checksum is that of parts' checksums, which ends with their number; of any, if none is named."""
    return any(_OF_PARTS.search(value) for name, value in checksums.items() if algorithm in ("", name))


def install_versions_on_disk() -> None:
    """Keep object versions on disk alone; raise PatchError when persistence is off.

    The emulator also keeps every body of a versioned bucket in memory: gigabytes for ten thousand uploads. With
    persistence on, each body is in a file before the request is answered.
    """
    s3 = emulator("services.s3", "S3_PERSIST", "_version_body", "_persist_displaced_version")
    if not s3.S3_PERSIST:
        raise PatchError("S3 persistence is off, so object versions have no files; the launcher must set S3_PERSIST=1.")
    replace("services.s3", "_version_entry_from_record", ("obj", "version_id", "data"), _without_body)


def _without_body(original: Callable[..., Any]) -> Callable[..., Any]:
    def version_entry_from_record(obj: dict[str, Any], version_id: str, _data: bytes) -> Any:
        return original(obj, version_id, None)

    return version_entry_from_record


def install_version_ranges() -> None:
    """Let a read of a version return the range that was asked for.

    The emulator returns the whole version, so that a reader of the first bytes would never meet its bounds here.
    """
    emulator("services.s3", "_error")
    replace("services.s3", "_get_object", ("bucket_name", "key", "headers", "query_params"), _in_range)


def _in_range(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_object(bucket_name: str, key: str, headers: dict[str, str], query_params: Any = None) -> Any:
        status, answered, body = original(bucket_name, key, headers, query_params)
        asked = _RANGE.fullmatch(headers.get("range", ""))
        if status != 200 or asked is None:
            return status, answered, body
        first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        if first > last:
            error = emulator("services.s3", "_error")._error
            return error("InvalidRange", "The requested range is not satisfiable", 416, f"/{bucket_name}/{key}")
        part = body[first : last + 1]
        ranged = {"Content-Range": f"bytes {first}-{last}/{len(body)}", "Content-Length": str(len(part))}
        whole = ("content-length", "x-amz-checksum-")  # what describes all bytes
        kept = {name: value for name, value in answered.items() if not name.lower().startswith(whole)}
        return 206, kept | ranged, part

    return get_object


def install_version_ids_in_events() -> None:
    """Add the object's version id to S3's events on EventBridge, which the emulator leaves out.

    The event is dispatched within `_fire_s3_event`, on the same thread.
    """
    replace("services.s3", "_fire_s3_event", _FIRE_PARAMETERS, _remember_version)
    replace("services.eventbridge", "_dispatch_event", ("event", "view"), _add_version)


def _remember_version(original: Callable[..., Any]) -> Callable[..., Any]:
    def fire_s3_event(*arguments: Any, version_id: str | None = None, **options: Any) -> None:
        token = _version.set(version_id)
        try:
            original(*arguments, version_id=version_id, **options)
        finally:
            _version.reset(token)

    return fire_s3_event


def _add_version(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch_event(event: dict[str, Any], view: Any = None) -> None:
        version_id = _version.get()
        if version_id and event["Source"] == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event = {**event, "Detail": json.dumps(detail)}
        original(event, view)

    return dispatch_event
