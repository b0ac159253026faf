"""The ASGI application in front of the emulator: the emulator sees only the requests that it lets pass."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from localcloud.access.key import HEALTH_PATH, Key
from localcloud.access.requests import Refused, Request, Scope, read
from localcloud.access.signatures import Signatures
from localcloud.patches.patching import emulator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Every browser sends one of these with the requests of a page: fetch and forms an Origin, all a Sec-Fetch-Site.
_ORIGIN = "origin"
_FETCH = "sec-fetch-"
_CHALLENGE = re.compile(r"[0-9a-f]{32}")
_POLICY_VIOLATION = 1008
_JSON = "application/json"


class Gone(Exception):
    """The client disconnected before its request was read."""


class Door:
    """Lets requests pass that are signed with `key` or a session's key, come from no web page, and use an AWS service.

    One path is answered without a signature: a challenge at HEALTH_PATH shows a caller that the cloud holds its key.
    """

    def __init__(self, behind: Application, key: Key, port: int):
        """Pass requests on to `behind`; `port` is the port that the Host header must name."""
        self._behind = behind
        self._key = key
        self._port = port
        self._signatures = Signatures(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "lifespan":
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # WebSockets: no service here has one
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = read(scope)
        try:
            check_no_page(request, self._port)
            if request.path == HEALTH_PATH:
                await _answer(send, 200, {"content-type": _JSON}, self._proof(request))
                return
            check_public(request.path)
            claim = self._signatures.claim(request)
            body = await _body(receive)
            self._signatures.verify(claim, request, body)
        except Refused as refused:
            await _answer(send, *_refusal(request, refused))
        except Gone:
            return
        else:
            await self._behind(scope, _again(body, receive), _without_sharing(send))

    def _proof(self, request: Request) -> bytes:
        challenge = "".join(request.query.get("challenge", []))
        if not _CHALLENGE.fullmatch(challenge):
            raise Refused("AccessDenied", "A challenge of 32 hexadecimal digits is expected.")
        return json.dumps({"proof": self._key.proof(challenge)}).encode()


def check_no_page(request: Request, port: int) -> None:
    """Raise Refused for a request that a browser made, or that names another host than the loopback's.

    The Host header shows a name that an attacker's DNS turns to 127.0.0.1 (DNS rebinding).
    """
    if any(name == _ORIGIN or name.startswith(_FETCH) for name in request.headers):
        raise Refused("AccessDenied", "Web pages may not use the local cloud.")
    host = request.headers.get("host", "").lower()
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        raise Refused("AccessDenied", f"The local cloud answers as 127.0.0.1:{port} and under no other name.")


def check_public(path: str) -> None:
    """Raise Refused for the emulator's own paths, which begin with an underscore.

    They show queues and code and wipe everything, and no policy of IAM covers them.
    """
    if path.lstrip("/").startswith("_"):
        raise Refused("AccessDenied", "The local cloud has no such path.")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that repeats the body that was read, then continues with `receive`."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


def _without_sharing(send: Send) -> Send:
    """Return a sender that removes the headers by which the emulator lets every web page read its answers."""

    async def without(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                header for header in message.get("headers", []) if not header[0].lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": kept}
        await send(message)

    return without


def _refusal(request: Request, refused: Refused) -> tuple[int, dict[str, str], bytes]:
    """Return the refusal in the protocol of the requested service, so that an SDK can read it."""
    if "authorization" not in request.headers:
        return 403, {"content-type": _JSON}, json.dumps({"__type": refused.code, "message": refused.message}).encode()
    service = emulator("core.router", "detect_service").detect_service(
        request.method, request.path, request.headers, request.query
    )
    answer: tuple[int, dict[str, str], bytes] = emulator(
        "core.iam_actions", "access_denied_response"
    ).access_denied_response(
        service, "", "", str(uuid.uuid4()), error_code=refused.code, message=refused.message, headers=request.headers
    )
    return answer


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
