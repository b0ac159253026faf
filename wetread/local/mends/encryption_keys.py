"""The condition key `s3:x-amz-server-side-encryption-aws-kms-key-id`, by which bucket policies bind puts to a key.

The emulator knows which encryption a put asks for, but not with which key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wetread.local.mends.seam import replace

_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def install() -> None:
    """Add the key to what policies know of a put."""
    replace("core.iam_actions", "_s3_object_context", ("iam_action", "query_params", "path", "headers"), _with_key)


def _with_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def object_context(iam_action: str, query_params: dict[str, Any], path: str, headers: dict[str, Any]) -> Any:
        context = original(iam_action, query_params, path, headers)
        key = headers.get(_HEADER)
        return {**context, f"s3:{_HEADER}": key} if key and iam_action == "s3:PutObject" else context

    return object_context
