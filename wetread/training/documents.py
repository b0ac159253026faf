"""Documents of the training workflow, read by their URIs in its output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.domain import layout
from wetread.connection import Connection


def read(connection: Connection, uri: str) -> Any | None:
    """Return the JSON document at an s3:// URI; None if it is missing or unreadable, or the URI is ""."""
    if not uri:
        return None
    bucket, key = layout.parse_uri(uri)
    try:
        return json.loads(Documents(connection.s3, bucket, MOST_RUN_DOCUMENT_BYTES).find(key) or "null")
    except ValueError:
        return None


def save(connection: Connection, uri: str, path: Path) -> bool:
    """Write the object at an s3:// URI to a file that only its owner can read; False if there is no object (or URI).

    A link is not followed, so that none in a folder from elsewhere leads to a file that this would replace: OSError.
    """
    if not uri:
        return False
    bucket, key = layout.parse_uri(uri)
    body = Documents(connection.s3, bucket, MOST_RUN_DOCUMENT_BYTES).find(key)
    if body is not None:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
            file.write(body)
    return body is not None
