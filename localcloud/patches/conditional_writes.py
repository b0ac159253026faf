"""The condition keys of write-once policies, `s3:if-none-match` and `s3:ObjectCreationOperation`.

The emulator obeys the header, but tells policies nothing of it. A multipart upload creates its object when it is
completed; its start and its parts carry no such header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import replace

_HEADER = "if-none-match"


def install() -> None:
    """Add the keys to what policies know of a put."""
    replace("core.iam_actions", "_s3_object_context", ("iam_action", "query_params", "path", "headers"), _with_keys)


def _with_keys(original: Callable[..., Any]) -> Callable[..., Any]:
    def object_context(iam_action: str, query_params: dict[str, Any], path: str, headers: dict[str, Any]) -> Any:
        context = original(iam_action, query_params, path, headers)
        if iam_action != "s3:PutObject":
            return context
        creates = "uploads" not in query_params and "partNumber" not in query_params
        condition = {f"s3:{_HEADER}": headers[_HEADER]} if headers.get(_HEADER) else {}
        return {**context, **condition, "s3:ObjectCreationOperation": str(creates).lower()}

    return object_context
