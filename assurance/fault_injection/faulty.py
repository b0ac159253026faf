"""A model container that misbehaves on demand, or behaves well.

Called as the image's command with a folder: faulty.py FOLDER serve. The file FOLDER/behaviours has one behaviour a
line; `queue` writes it. A container takes the first one when it takes effect: a crash at its start, a failure at its
third request, and so on. So a job that is too small for a behaviour leaves it to the next. A container has one
behaviour; one that starts with nothing queued behaves well.
A container that withholds an answer writes its process ids to FOLDER/holding.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import TextIO

CRASH, FAIL, SLOW, HALFWAY, STUCK = "crash", "fail", "slow", "halfway", "stuck"
START = 0
"""The number of a container's start, before its first request."""
FAILS_EVERY = 3
TAKES_EFFECT: dict[str, Callable[[int], bool]] = {
    CRASH: lambda number: number == START,
    FAIL: lambda number: number > START and number % FAILS_EVERY == 0,
    SLOW: lambda number: number > START,
    HALFWAY: lambda number: number > 1,
    STUCK: lambda number: number > START,
}
"""Whether a behaviour changes what a container does at its request ``number``."""
HOLDS = (HALFWAY, STUCK)
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
    """Queue behaviours for containers that start from now on, one a container."""
    (folder / HOLDING).unlink(missing_ok=True)
    with _locked(folder) as file:
        _write(file, behaviours)


def waiting(folder: Path) -> list[str]:
    """Return the queued behaviours, which no container has taken yet."""
    with _locked(folder) as file:
        return file.read().split()


def claim(folder: Path, number: int) -> str:
    """Remove and return the first queued behaviour if it takes effect at a container's request ``number``, or ""."""
    with _locked(folder) as file:
        first, *others = file.read().split() or [""]
        if not first or not TAKES_EFFECT[first](number):
            return ""
        _write(file, others)
    return first


@contextmanager
def _locked(folder: Path) -> Iterator[TextIO]:
    """Open the file of behaviours; other processes wait."""
    with (folder / BEHAVIOURS).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _write(file: TextIO, behaviours: Iterable[str]) -> None:
    """Replace the content of the locked file."""
    file.truncate(0)
    file.write("".join(f"{one}\n" for one in behaviours))


def holding(folder: Path) -> bool:
    """Return whether a container withholds an answer: its job is under way, and cannot end by itself."""
    return (folder / HOLDING).exists()


def kill_holder(folder: Path) -> None:
    """Kill the container that withholds an answer, like a dying host."""
    for pid in (folder / HOLDING).read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def main() -> None:
    """Crash, or serve."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    real = [sys.executable, "-m", "model_code", *arguments]
    if claim(folder, START) == CRASH:
        sys.exit("this container crashes before it listens")
    if not waiting(folder) and not (folder / BOMBS).is_dir():
        os.execv(sys.executable, real)
    behind = f"{os.environ[LISTEN]}.real"
    server = subprocess.Popen(real, env={**os.environ, LISTEN: behind})
    handler = _handler(_Conduct(folder), behind, folder, (os.getpid(), server.pid))
    try:
        _Server(os.environ[LISTEN], handler).serve_forever()
    finally:
        server.kill()


class _Conduct:
    """What this container does at each request: its one behaviour, as soon as it has taken one."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._numbers = count(START + 1)
        self._taken = ""
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return the behaviour at the next request, or "" if this one is answered well."""
        with self._lock:
            number = next(self._numbers)
            self._taken = self._taken or claim(self._folder, number)
            return self._taken if self._taken and TAKES_EFFECT[self._taken](number) else ""


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


def _handler(conduct: _Conduct, behind: str, folder: Path, pids: Sequence[int]) -> type[BaseHTTPRequestHandler]:
    class Handler(Quiet):
        """Forwards requests, except for the container's behaviour."""

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            behaviour = conduct.next()
            if behaviour == FAIL:
                self.answer(500, b"it fails every third time", "text/plain")
                return
            if behaviour in HOLDS:
                self._hold()
            if behaviour == SLOW:
                time.sleep(1)
            if (folder / BOMBS / hashlib.sha256(body).hexdigest()).exists():
                self.answer(200, b'{"SOPInstanceUID":"' + b"f" * BOMB_BYTES, "application/json")
                return
            self._pass_on(body)

        def _hold(self) -> None:
            """Withhold the answer for ever."""
            written = folder / f"{HOLDING}.{threading.get_ident()}"
            written.write_text(" ".join(map(str, pids)))
            written.replace(folder / HOLDING)
            threading.Event().wait()

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
