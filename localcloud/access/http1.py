"""The local cloud's port speaks HTTP/1.1 alone.

hypercorn would also change to HTTP/2 or to a WebSocket, before the door has seen the request. No service here needs
either, and some malformed requests in them end in a traceback: every user of the machine could fill the log.
"""

from __future__ import annotations

import h11
from hypercorn import protocol
from hypercorn.protocol.h11 import H11Protocol

from localcloud.patches.patching import PatchError

_CHANGES = ("_check_protocol", "_create_stream")


class _Http1(H11Protocol):
    """One connection of HTTP/1.1, which ignores a wish for another protocol, as a server may."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay, where hypercorn would change to HTTP/2."""

    async def _create_stream(self, request: h11.Request) -> None:
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        plain = h11.Request(
            method=request.method, target=request.target, headers=headers, http_version=request.http_version
        )
        await super()._create_stream(plain)


def install() -> None:
    """Have hypercorn serve new connections so; raise PatchError if this is a hypercorn that would not."""
    missing = [name for name in _CHANGES if name not in vars(H11Protocol)]
    if missing:
        raise PatchError(f"hypercorn's H11Protocol has no {missing[0]}. Install it by constraints.txt.")
    protocol.H11Protocol = _Http1  # type: ignore[attr-defined]
