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
from collections.abc import Callable
from contextlib import suppress

LENGTH = struct.Struct(">I")
LONGEST = 2**32 - 1
# A slice fits in, so that the processes need not wake each other for every 64 KB.
PIPE_BYTES = 1024**2

Left = Callable[[], float]
"""Returns for how many seconds to wait before the next call; 0 or less ends the wait."""


def forever() -> float:
    """Return infinity: a ``Left`` that never ends the wait."""
    return math.inf


class Channel:
    """One end: messages arrive by one pipe and leave by another."""

    def __init__(self, arriving: int, leaving: int) -> None:
        """Take over two descriptors of pipes; only non-blocking ones end a wait."""
        self._arriving, self._leaving = arriving, leaving

    def send(self, message: bytes, left: Left = forever) -> None:
        """Send ``message``; raises TimeoutError when no time is left and BrokenPipeError if the other end is closed."""
        for part in (LENGTH.pack(len(message)), message):
            rest = memoryview(part)
            while rest:
                try:
                    rest = rest[os.write(self._leaving, rest) :]
                except BlockingIOError:
                    _wait(self._leaving, select.POLLOUT, left)

    def receive(self, longest: int = LONGEST, left: Left = forever) -> bytearray:
        """Return the next message; raises EOFError if the other end is closed, TimeoutError when no time is left.

        Raises ConnectionError for a message longer than ``longest`` bytes, before it is read.
        """
        (length,) = LENGTH.unpack(self._read(LENGTH.size, left))
        if length > longest:
            raise ConnectionError(f"A message of {length} bytes arrives where {longest} are the most.")
        return self._read(length, left)

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self._arriving)
        os.close(self._leaving)

    def _read(self, length: int, left: Left) -> bytearray:
        message = bytearray(length)
        rest = memoryview(message)
        while rest:
            try:
                taken = os.readv(self._arriving, [rest])
            except BlockingIOError:
                _wait(self._arriving, select.POLLIN, left)
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


def _wait(descriptor: int, event: int, left: Left) -> None:
    """Wait until the descriptor is ready or closed; raises TimeoutError when no time is left."""
    ready = select.poll()
    ready.register(descriptor, event)
    while True:
        seconds = left()
        if ready.poll(None if seconds == math.inf else max(0, math.ceil(seconds * 1000))):
            return
        if seconds <= 0:
            raise TimeoutError
