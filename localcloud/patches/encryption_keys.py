"""The condition keys by which bucket policies bind puts: which key encrypts them, and in which storage class.

The emulator knows which encryption a put asks for, but not with which key of KMS, whether with a key of the caller's
own, and for which storage class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import replace

_HEADERS = (
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
)


def install() -> None:
    """Add the keys to what policies know of a put."""
    replace("core.iam_actions", "_s3_object_context", ("iam_action", "query_params", "path", "headers"), _with_keys)


def _with_keys(original: Callable[..., Any]) -> Callable[..., Any]:
    def object_context(iam_action: str, query_params: dict[str, Any], path: str, headers: dict[str, Any]) -> Any:
        context = original(iam_action, query_params, path, headers)
        asked = {f"s3:{name}": headers[name] for name in _HEADERS if headers.get(name)}
        return {**context, **asked} if iam_action == "s3:PutObject" else context

    return object_context
