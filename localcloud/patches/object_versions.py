"""Object versions live on disk alone: the emulator also keeps every body of a versioned bucket in memory.

Ten thousand uploads would be gigabytes. With persistence on, each body is in a file before the request is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import MendError, emulator, replace


def install() -> None:
    """Keep bodies out of the version index."""
    s3 = emulator("services.s3", "S3_PERSIST", "_version_body", "_persist_displaced_version")
    if not s3.S3_PERSIST:
        raise MendError("S3 persistence is off, so object versions have no files; the launcher must set S3_PERSIST=1.")
    replace("services.s3", "_version_entry_from_record", ("obj", "version_id", "data"), _without_body)


def _without_body(original: Callable[..., Any]) -> Callable[..., Any]:
    def version_entry_from_record(obj: dict[str, Any], version_id: str, _data: bytes) -> Any:
        return original(obj, version_id, None)

    return version_entry_from_record
