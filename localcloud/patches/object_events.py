"""S3's events on EventBridge carry the object's version id, which the emulator leaves out and ingest needs."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import replace

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
    """Wrap the making of S3's events and their dispatch, which happens within it on the same thread."""
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
