"""No web page may speak to the local cloud, neither its own name's nor by a name that leads here since a moment."""

from __future__ import annotations

from localcloud.access.requests import Refused, Request

# Every browser sends one of these with what a page asks for: fetch and forms an Origin, everything a Sec-Fetch-Site.
_ORIGIN = "origin"
_FETCH = "sec-fetch-"


def check_no_page(request: Request, port: int) -> None:
    """Raise Refused for a request that a browser made, or that came by another name than the loopback's.

    A name that an attacker's DNS turns to 127.0.0.1 (DNS rebinding) is seen in the Host header.
    """
    if any(name == _ORIGIN or name.startswith(_FETCH) for name in request.headers):
        raise Refused("AccessDenied", "Web pages may not use the local cloud.")
    host = request.headers.get("host", "").lower()
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        raise Refused("AccessDenied", f"The local cloud answers as 127.0.0.1:{port} and under no other name.")
