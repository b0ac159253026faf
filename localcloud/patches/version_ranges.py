"""A read of a version gives the range that was asked for: the emulator gives the whole of a version.

Ingest reads the first bytes of a version and no more, so without this its bounds would never be met here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})")


def install() -> None:
    """Cut what a versioned GetObject answers to its Range header."""
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
        whole = ("content-length", "x-amz-checksum-")  # what is said of all bytes
        kept = {name: value for name, value in answered.items() if not name.lower().startswith(whole)}
        return 206, kept | ranged, part

    return get_object
