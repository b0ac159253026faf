"""A model container that misbehaves: its first start crashes, its second fails requests, its third is slow, then well.

Called as the image's command with a folder in which it counts its starts: faulty.py FOLDER serve
"""

from __future__ import annotations

import http.client
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

CRASHES, FAILS, DAWDLES = 1, 2, 3
LISTEN = "WETREAD_BIND_TO_SOCKET"


def main() -> None:
    """Behave as the number of this start says."""
    folder, *arguments = sys.argv[1:]
    handle, _ = tempfile.mkstemp(dir=folder)
    os.close(handle)
    start = len(os.listdir(folder))  # noqa: PTH208 (a count, nothing else)
    real = [sys.executable, "-m", "model_code", *arguments]
    if start == CRASHES:
        sys.exit("this container crashes before it listens")
    if start > DAWDLES:
        os.execv(sys.executable, real)
    behind = f"{os.environ[LISTEN]}.real"
    server = subprocess.Popen(real, env={**os.environ, LISTEN: behind})
    try:
        _Server(os.environ[LISTEN], _handler(start, behind)).serve_forever()
    finally:
        server.kill()


class _Server(ThreadingHTTPServer):
    """Listens on a Unix socket."""

    address_family = socket.AF_UNIX
    server_bind = socketserver.TCPServer.server_bind


class _Connection(http.client.HTTPConnection):
    """Connects to a Unix socket."""

    def __init__(self, path: str):
        super().__init__("container", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _handler(start: int, behind: str) -> type[BaseHTTPRequestHandler]:
    numbers = count(1)

    class Handler(BaseHTTPRequestHandler):
        """Passes requests on, but for its behaviour."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if start == FAILS and next(numbers) % 3 == 0:
                self._answer(500, b"it fails every third time", "text/plain")
                return
            if start == DAWDLES:
                time.sleep(1)
            self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            connection = _Connection(behind)
            headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
            try:
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                self._answer(answer.status, answer.read(), answer.headers.get("Content-Type", "text/plain"))
            except OSError:
                self._answer(503, b"not yet", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


if __name__ == "__main__":
    main()
