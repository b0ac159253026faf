"""Puts the identity of the current request before every log line about it, whichever module or script writes it.

The identity is the content's SHA-256, which rows and results carry too, and the id that SageMaker forwards from
InvokeEndpoint. It travels in a context variable: threads that work for a request run in a copy of its context.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
# The caller chooses the id, and any other text than a UUID might name a patient.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DIGITS = 12


class RequestIdentity:
    """What names one request in the log: ``content 1a2b3c4d5e6f``, and its inference id if that is a UUID."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Take the inference id from the request's ``headers``, a mapping that ignores case or has lower-case names."""
        self._inference_id = headers.get(INFERENCE_ID, "")
        self._body: bytes | None = None
        self._digits = ""

    def content_is(self, body: bytes) -> None:
        """Name the request by ``body`` from here on; it is hashed when the first line is logged."""
        self._body = body

    def __str__(self) -> str:
        if self._body is not None and not self._digits:
            self._digits = hashlib.sha256(self._body).hexdigest()[:DIGITS]
        content = f"content {self._digits}" if self._digits else "content not read"
        return f"{content}, request {self._inference_id}" if UUID.fullmatch(self._inference_id) else content


_current: ContextVar[RequestIdentity | None] = ContextVar("request", default=None)


@contextmanager
def current_request(headers: Mapping[str, str]) -> Iterator[RequestIdentity]:
    """Mark what is logged in this context with the identity of the request with these ``headers``; yield it."""
    identity = RequestIdentity(headers)
    token = _current.set(identity)
    try:
        yield identity
    finally:
        _current.reset(token)


class RequestFormatter(logging.Formatter):
    """Formats a record as its message; each line of one about a request begins with the identity in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of ``record``; CloudWatch makes an event of every line, so every line is marked."""
        text = super().format(record)
        identity = _current.get()
        return text if identity is None else "\n".join(f"[{identity}] {line}" for line in text.split("\n"))
