"""The one account and region of the local cloud."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from localcloud.patches.patching import emulator

ACCOUNT_ID = "000000000000"
REGION = "us-east-1"


@contextlib.contextmanager
def in_account() -> Iterator[None]:
    """Act in the account on a thread that serves no request, over TLS as AWS's own services do."""
    origin = emulator("core.iam_evaluator", "_request_origin")._request_origin
    before = origin.set(("127.0.0.1", True))
    try:
        with emulator("core.responses", "request_scope").request_scope(ACCOUNT_ID, REGION):
            yield
    finally:
        origin.reset(before)
