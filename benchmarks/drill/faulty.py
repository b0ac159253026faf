"""A model container that misbehaves: its first start crashes, its second fails requests, its third is slow, then well.

Called as the image's command with a folder in which it counts its starts: faulty.py FOLDER serve. With a folder
FOLDER/bombs it answers without an end to the objects whose SHA-256 is a file's name there, and well to all others.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

BOMBS, CRASHES, FAILS, DAWDLES = 0, 1, 2, 3
BOMB_BYTES = 40 * 1024**2  # sixteen of them, read whole and made a text, are more than collect has
BEHIND = 1
"""The real server listens this many ports above."""


def main() -> None:
    """Behave as the number of this start says."""
    folder, *arguments = sys.argv[1:]
    bombs = Path(folder) / "bombs"
    if bombs.is_dir():
        start = BOMBS
    else:
        handle, _ = tempfile.mkstemp(dir=folder)
        os.close(handle)
        start = len(os.listdir(folder))  # noqa: PTH208 (a count, nothing else)
    real = [sys.executable, "-m", "model_code", *arguments]
    if start == CRASHES:
        sys.exit("this container crashes before it listens")
    if start > DAWDLES:
        os.execv(sys.executable, real)
    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    server = subprocess.Popen(real, env={**os.environ, "SAGEMAKER_BIND_TO_PORT": str(port + BEHIND)})
    try:
        ThreadingHTTPServer(("127.0.0.1", port), _handler(start, port + BEHIND, bombs)).serve_forever()
    finally:
        server.kill()


def _handler(start: int, behind: int, bombs: Path) -> type[BaseHTTPRequestHandler]:
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
            if start == BOMBS and (bombs / hashlib.sha256(body).hexdigest()).exists():
                self._answer(200, b'{"SOPInstanceUID":"' + b"f" * BOMB_BYTES, "application/json")
                return
            self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
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
