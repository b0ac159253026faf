"""The Lambda Runtime API of one execution environment: hands out invocations and takes the answers.

Its paths begin with a secret that only the environment knows. Another user of the machine, or a web page, could
otherwise take an invocation away and answer it.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import socket
import socketserver
import threading
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

_VERSION = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Outcome:
    """What an invocation ended with: the function's answer, or its error document."""

    body: bytes
    failed: bool


@dataclass(frozen=True)
class Invocation:
    """One event on its way to the function."""

    request_id: str
    payload: bytes
    function_arn: str
    deadline_ms: int
    outcome: Future[Outcome] = field(default_factory=Future)

    def end(self, outcome: Outcome) -> None:
        """Settle the invocation; the first outcome counts."""
        with contextlib.suppress(InvalidStateError):
            self.outcome.set_result(outcome)


class RuntimeApi:
    """A Runtime API server on its own loopback port. At most one invocation is in progress."""

    def __init__(self) -> None:
        self._secret = secrets.token_urlsafe(32)
        self.initialised: Future[Outcome | None] = Future()
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: Invocation | None = None
        api = self

        class Handler(_Handler):
            runtime_api = api

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve, name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """`host:port/secret`, the value of AWS_LAMBDA_RUNTIME_API."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}/{self._secret}"

    def endpoint(self, path: str) -> str | None:
        """The part of a request's path that names what is called; None for a path without the secret."""
        prefix = f"/{self._secret}{_VERSION}"
        known = secrets.compare_digest(path[: len(prefix)].encode(), prefix.encode())
        return path[len(prefix) :] if known else None

    def submit(self, invocation: Invocation) -> None:
        """Hand an invocation to the runtime, which asks for the next one as soon as it is idle."""
        self._current = invocation
        self._invocations.put(invocation)

    def end(self, outcome: Outcome) -> None:
        """The runtime has gone: settle whatever waits for it."""
        self._settle_initialisation(outcome)
        if self._current is not None:
            self._current.end(outcome)

    def close(self) -> None:
        """Stop listening."""
        self._invocations.put(None)
        self._server.close()

    def next_invocation(self) -> Invocation | None:
        """Wait for work; None means that the environment shuts down."""
        self._settle_initialisation(None)
        return self._invocations.get()

    def take(self, path: str, body: bytes) -> bool:
        """Accept what the runtime posted; return whether it was expected."""
        if path == "init/error":
            self.end(Outcome(body, failed=True))
            return True
        current = self._current
        if current is None or not path.startswith(f"invocation/{current.request_id}/"):
            return False
        current.end(Outcome(body, failed=path.endswith("/error")))
        return True

    def _settle_initialisation(self, outcome: Outcome | None) -> None:
        with contextlib.suppress(InvalidStateError):
            self.initialised.set_result(outcome)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    closing = False

    def serve(self) -> None:
        """Serve until closed. Unlike serve_forever it sleeps in between instead of looking twice a second."""
        while not self.closing:
            self.handle_request()
        self.server_close()

    def close(self) -> None:
        """Wake the sleeping server with a connection, so that it sees the end."""
        self.closing = True
        with contextlib.suppress(OSError):
            socket.create_connection(self.server_address[:2], timeout=1.0).close()  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, and the second would wait 40 ms
    runtime_api: RuntimeApi

    def do_GET(self) -> None:
        if self.runtime_api.endpoint(self.path) != "invocation/next":
            self._refuse()
            return
        invocation = self.runtime_api.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        self._answer(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            },
        )

    def do_POST(self) -> None:
        endpoint = self.runtime_api.endpoint(self.path)
        if endpoint is None:
            self._refuse()
            return
        known = self.runtime_api.take(endpoint, self._body())
        self._answer(202 if known else 400, b'{"status":"OK"}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        """Keep requests out of the log."""

    def _refuse(self) -> None:
        """Answer 403 without reading on."""
        self.close_connection = True
        self._answer(403)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
