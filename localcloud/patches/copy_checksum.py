"""CopyObject computes the checksum that it is asked for and returns it, because ingest takes the SHA-256 from there.

The emulator knows `x-amz-sdk-checksum-algorithm` only, but the SDK sends `x-amz-checksum-algorithm` with a copy;
and it leaves the checksum out of the CopyObjectResult.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from localcloud.patches.seam import emulator, replace

_END = b"</CopyObjectResult>"


def install() -> None:
    """Wrap CopyObject."""
    emulator("services.s3", "_buckets")
    replace("services.s3", "_copy_object", ("bucket_name", "dest_key", "headers"), _with_checksum)


def _with_checksum(original: Callable[..., Any]) -> Callable[..., Any]:
    s3 = emulator("services.s3")

    def copy_object(bucket_name: str, dest_key: str, headers: dict[str, str]) -> Any:
        algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
        if algorithm:
            headers = {**headers, "x-amz-sdk-checksum-algorithm": algorithm}
        status, answer, body = original(bucket_name, dest_key, headers)
        if status != 200 or not body.endswith(_END):
            return status, answer, body
        checksums = s3._buckets[bucket_name]["objects"][dest_key]["checksums"]
        members = "".join(
            f"<Checksum{name}>{escape(value)}</Checksum{name}>"
            for name, value in checksums.items()
            if name == algorithm or not algorithm
        )
        return status, answer, body.removesuffix(_END) + members.encode() + _END

    return copy_object
