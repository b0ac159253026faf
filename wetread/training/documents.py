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
    try:
        return json.loads(find(connection, uri) or "null")
    except ValueError:
        return None


def find(connection: Connection, uri: str) -> bytes | None:
    """Return the bytes at an s3:// URI; None if there is no object, or the URI is ""."""
    if not uri:
        return None
    bucket, key = layout.parse_uri(uri)
    return Documents(connection.s3, bucket, MOST_RUN_DOCUMENT_BYTES).find(key)


def write(path: Path, body: bytes) -> None:
    """Write a file that only its owner can read.

    A link is not followed, so that none in a folder from elsewhere leads to a file that this would replace: OSError.
    """
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
        file.write(body)
