"""Requests to a door: signed by botocore, sent, and what is answered."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.access.key import Key

PORT = 4566


HOME = f"127.0.0.1:{PORT}"


KEY = Key("AKIA0123456789ABCDEF", "the home's secret")


OWN = Credentials(KEY.access_key_id, KEY.secret_access_key)


class Behind:
    """Stands in for the emulator, and keeps the requests that reach it."""

    def __init__(self):
        self.bodies = []

    async def __call__(self, scope, receive, send):
        message = await receive()
        self.bodies.append(message["body"])
        shared = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-allow-headers", b"*"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": shared})
        await send({"type": "http.response.body", "body": b"passed"})


def signed(
    method="GET",
    path="/bucket/key",
    body=b"",
    *,
    auth=S3SigV4Auth,
    service="s3",
    credentials=OWN,
    expires=60,
    **headers,
):
    """Return a request signed by botocore, as (method, target, headers, body)."""
    in_query = auth in (SigV4QueryAuth, S3SigV4QueryAuth, HmacV1QueryAuth)
    request = AWSRequest(method, f"http://{HOME}{path}", data=b"" if in_query else body, headers=headers)
    extra = {"expires": expires} if auth in (SigV4QueryAuth, S3SigV4QueryAuth) else {}
    signer = (
        auth(credentials, expires=60) if auth is HmacV1QueryAuth else auth(credentials, service, "us-east-1", **extra)
    )
    signer.add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    return method, target, {"Host": HOME, **dict(prepared.headers)}, body


def sent(door, method, target, headers, body=b""):
    """Return status, headers and body of the door's answer; header values may be lists."""
    path, _, query = target.partition("?")
    lines = [
        (name.lower().encode(), one if isinstance(one, bytes) else one.encode())
        for name, value in headers.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path.replace("%5F", "_"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": lines,
    }
    parts = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    answers = []

    async def receive():
        return parts.pop(0)

    async def send(message):
        answers.append(message)

    asyncio.run(door(scope, receive, send))
    start, *rest = answers
    return start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest)


def refused(door, behind, *request):
    """Whether the door refused, with a word for it, and let nothing through."""
    status, _headers, body = sent(door, *request)
    assert behind.bodies == []
    assert status in (400, 403), status
    return body.decode()
