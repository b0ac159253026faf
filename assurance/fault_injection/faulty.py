"""A model container that misbehaves on demand: each start takes the next queued behaviour, or behaves well.

Called as the image's command with a folder: faulty.py FOLDER serve. The file FOLDER/behaviours has one behaviour a
line; `queue` writes it. A container that holds an answer writes its process ids to FOLDER/holding.
With a folder FOLDER/bombs, each container sends endless answers for objects with a SHA-256 that is a file name there.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

CRASH, FAIL, SLOW, HALFWAY, STUCK = "crash", "fail", "slow", "halfway", "stuck"
ANSWERED_BEFORE_HOLDING = {HALFWAY: 1, STUCK: 0}
BEHAVIOURS, HOLDING = "behaviours", "holding"
BOMBS = "bombs"
BOMB_BYTES = 40 * 1024**2  # sixteen of them, read whole and decoded, exceed collect's memory
LISTEN = "WETREAD_BIND_TO_SOCKET"


def image_command(folder: Path) -> str:
    """Return the local cloud's image command for containers that take their behaviours from ``folder``."""
    folder.mkdir(exist_ok=True)
    queue(folder)
    return f"{sys.executable} {Path(__file__).resolve()} {folder}"


def queue(folder: Path, *behaviours: str) -> None:
    """Queue behaviours for the next starts of containers, one a start."""
    (folder / HOLDING).unlink(missing_ok=True)
    (folder / BEHAVIOURS).write_text("".join(f"{one}\n" for one in behaviours))


def waiting(folder: Path) -> list[str]:
    """Return the queued behaviours."""
    return (folder / BEHAVIOURS).read_text().split()


def holding(folder: Path) -> bool:
    """Return whether a container withholds an answer: its job is under way, and cannot end by itself."""
    return (folder / HOLDING).exists()


def kill_holder(folder: Path) -> None:
    """Kill the container that withholds an answer, like a dying host."""
    for pid in (folder / HOLDING).read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def main() -> None:
    """Take a behaviour and serve."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    behaviour = _next(folder)
    real = [sys.executable, "-m", "model_code", *arguments]
    if behaviour == CRASH:
        sys.exit("this container crashes before it listens")
    if not behaviour and not (folder / BOMBS).is_dir():
        os.execv(sys.executable, real)
    behind = f"{os.environ[LISTEN]}.real"
    server = subprocess.Popen(real, env={**os.environ, LISTEN: behind})
    handler = _handler(behaviour, behind, folder, (os.getpid(), server.pid))
    try:
        _Server(os.environ[LISTEN], handler).serve_forever()
    finally:
        server.kill()


def _next(folder: Path) -> str:
    """Remove and return the first queued behaviour, or ""."""
    with (folder / BEHAVIOURS).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first, *others = file.read().split() or [""]
        file.seek(0)
        file.truncate()
        file.write("".join(f"{one}\n" for one in others))
    return first


class Quiet(BaseHTTPRequestHandler):
    """Answers over HTTP/1.1 and logs nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, content_type: str) -> None:
        """Send one answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


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


def _handler(behaviour: str, behind: str, folder: Path, pids: Sequence[int]) -> type[BaseHTTPRequestHandler]:
    numbers = count(1)

    class Handler(Quiet):
        """Forwards requests, except for its behaviour."""

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            number = next(numbers)
            if behaviour == FAIL and number % 3 == 0:
                self.answer(500, b"it fails every third time", "text/plain")
                return
            self._delay(number)
            if (folder / BOMBS / hashlib.sha256(body).hexdigest()).exists():
                self.answer(200, b'{"SOPInstanceUID":"' + b"f" * BOMB_BYTES, "application/json")
                return
            self._pass_on(body)

        def _delay(self, number: int) -> None:
            """Wait for a second or forever before answer ``number``, according to the behaviour."""
            if number > ANSWERED_BEFORE_HOLDING.get(behaviour, number):
                (folder / HOLDING).write_text(" ".join(map(str, pids)))
                threading.Event().wait()
            if behaviour == SLOW:
                time.sleep(1)

        def _pass_on(self, body: bytes) -> None:
            connection = _Connection(behind)
            headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
            try:
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                self.answer(answer.status, answer.read(), answer.headers.get("Content-Type", "text/plain"))
            except OSError:
                self.answer(503, b"not yet", "text/plain")

    return Handler


if __name__ == "__main__":
    main()
