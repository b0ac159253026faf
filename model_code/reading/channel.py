"""Messages between two processes through pipes, where the other side may be slow, silent or taken over.

A message is its length (four bytes, big-endian) and its bytes. Neither side waits beyond a deadline or accepts a
message that is longer than it expects.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import struct
import sys
import time
from contextlib import suppress

LENGTH = struct.Struct(">I")
LONGEST = 2**32 - 1
# A slice fits in, so that the processes need not wake each other for every 64 KB.
PIPE_BYTES = 1024**2


class Channel:
    """One end: messages arrive by one pipe and leave by another. Deadlines are times of ``time.monotonic``."""

    def __init__(self, arriving: int, leaving: int) -> None:
        """Take over two descriptors of pipes; deadlines hold only for non-blocking ones."""
        self._arriving, self._leaving = arriving, leaving

    def send(self, message: bytes, deadline: float = math.inf) -> None:
        """Send ``message``; raises TimeoutError at the deadline and BrokenPipeError if the other end is closed."""
        for part in (LENGTH.pack(len(message)), message):
            rest = memoryview(part)
            while rest:
                try:
                    rest = rest[os.write(self._leaving, rest) :]
                except BlockingIOError:
                    _wait(self._leaving, select.POLLOUT, deadline)

    def receive(self, longest: int = LONGEST, deadline: float = math.inf) -> bytearray:
        """Return the next message; raises EOFError if the other end is closed, and TimeoutError at the deadline.

        Raises ConnectionError for a message longer than ``longest`` bytes, before it is read.
        """
        (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if length > longest:
            raise ConnectionError(f"A message of {length} bytes arrives where {longest} are the most.")
        return self._read(length, deadline)

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self._arriving)
        os.close(self._leaving)

    def _read(self, length: int, deadline: float) -> bytearray:
        message = bytearray(length)
        rest = memoryview(message)
        while rest:
            try:
                taken = os.readv(self._arriving, [rest])
            except BlockingIOError:
                _wait(self._arriving, select.POLLIN, deadline)
            else:
                if taken == 0:
                    raise EOFError
                rest = rest[taken:]
        return message


def pair() -> tuple[Channel, tuple[int, int]]:
    """Return one end, with deadlines, and the two descriptors of the other, for the process that uses it."""
    arriving, theirs = _pipe()
    their_arriving, leaving = _pipe()
    for descriptor in (arriving, leaving):
        os.set_blocking(descriptor, False)
    return Channel(arriving, leaving), (their_arriving, theirs)


def _pipe() -> tuple[int, int]:
    """Return the descriptors to read and to write, with room for PIPE_BYTES if the system grants it."""
    reading, writing = os.pipe()
    if sys.platform == "linux":
        with suppress(OSError):  # a user's pipes may together be too large; a message is then sent in more pieces
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Wait until the descriptor is ready or closed; raises TimeoutError at the deadline."""
    ready = select.poll()
    ready.register(descriptor, event)
    left = deadline - time.monotonic()
    if not ready.poll(None if left == math.inf else max(0, left * 1000)):
        raise TimeoutError
