"""Puts the identity of the current request before every log line about it, whichever module or script writes it.

The identity is the content's SHA-256, which rows and results carry too, and the id that SageMaker forwards from
InvokeEndpoint. It is kept in a context variable: threads that work for a request run in a copy of its context.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
# The caller chooses the id, and any other text than a UUID might name a patient.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DIGITS = 12

log = logging.getLogger("model_code.serving")


class RequestIdentity:
    """What names one request in the log: ``content 1a2b3c4d5e6f``, and its inference id if that is a UUID."""

    def __init__(self, inference_id: str) -> None:
        self._inference_id = inference_id
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
def current_request(inference_id: str) -> Iterator[RequestIdentity]:
    """Mark what is logged in this context with the identity of a request; yield it.

    ``inference_id``: the request's header INFERENCE_ID, "" without one.
    """
    identity = RequestIdentity(inference_id)
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


def log_refusal(status: int, code: str) -> None:
    """Log that a request is answered with a ``status`` of 4xx, which fails a whole transform job."""
    log.warning("a request is refused: HTTP %s %s", status, code)
