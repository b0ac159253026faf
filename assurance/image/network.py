"""HTTP to a container that has no network: by sockets that are made inside its network namespace."""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PORT = 8080
CLONE_NEWNET = 0x40000000  # linux/sched.h
SECONDS = 60
LISTENING = "0A"  # in /proc/net/tcp


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP."""

    status: int
    body: bytes


class Link(http.client.HTTPConnection):
    """A connection to a port of a container, by the number of the container's first process."""

    def __init__(self, pid: int, port: int = PORT) -> None:
        super().__init__("127.0.0.1", port, timeout=SECONDS)
        self._pid = pid

    def connect(self) -> None:
        """Connect from inside the container's network."""
        self.sock = connect(self._pid, self.port)


def connect(pid: int, port: int = PORT) -> socket.socket:
    """Return a socket that is connected to a port of a process's network namespace; raises OSError."""
    with ThreadPoolExecutor(1) as thread:  # a namespace is entered by one thread alone, and this one ends with it
        return thread.submit(_connect, pid, port).result()


def _connect(pid: int, port: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def ask(pid: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
    """Send one request and return its answer; underscores of header names are hyphens."""
    link = Link(pid)
    try:
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return Reply(answer.status, answer.read())
    finally:
        link.close()


def wait_for_ping(pid: int) -> None:
    """Return when /ping is answered with 200; raises RuntimeError after a minute."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if ask(pid, "GET", "/ping").status == 200:
                return
        except FileNotFoundError:
            raise RuntimeError("the container ended before /ping was answered") from None
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
    raise RuntimeError(f"no answer of /ping in {SECONDS} s")


def listens(table: str, port: int) -> bool:
    """Return whether a port is listened on, by the text of a /proc/PID/net/tcp."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == LISTENING for row in rows if len(row) > 3)
