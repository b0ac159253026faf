"""A request as its signature covers it, and the refusal of a request."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

Scope = MutableMapping[str, Any]


class Refused(Exception):
    """A request is refused, with AWS's error code and a message that says why."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Request:
    """A request without its body. Header names are in lower case, query names as they were sent."""

    method: str
    path: str
    raw_path: str
    headers: dict[str, str]
    query: dict[str, list[str]]


def read(scope: Scope) -> Request:
    """Read an ASGI scope as the emulator does. A deciding header that comes twice becomes invalid."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), _text(raw_value)
        # SigV4 signs a header that comes on several lines as its values joined by a comma.
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=raw_path.decode("latin-1"),
        headers=headers,
        query=parse_qs(scope.get("query_string", b"").decode(errors="replace"), keep_blank_values=True),
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
