"""Limits how long to wait for a child process, by the kernel's count of its time.

A process that a codestream has taken over can switch off its timers and block its signals. It cannot change what the
kernel counts, nor survive SIGKILL.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

PER_PROCESS, SCHEDULED = 3, 2  # how Linux numbers another process's clock: clock_getcpuclockid(3)
SHORT = 256  # three numbers of 20 digits are shorter


class Patience:
    """The seconds left to a child: of processor time, of sleep, and on the clock.

    Time in which the child waits for a processor counts on the clock only. Systems other than Linux do not count
    processor time or sleep of another process; there only the clock limits it.
    """

    def __init__(self, pid: int, *, processor: float, asleep: float, clock: float) -> None:
        """Begin to count for the process ``pid``, a child that is not reaped yet."""
        self._pid = pid
        self._most = {"processor": processor, "asleep": asleep, "clock": clock}
        self._began = _counted(pid)

    def left(self) -> float:
        """Return for how many seconds no limit can be reached; 0 or less if one is."""
        return min(self._rest().values())

    def is_out_of(self, what: str) -> bool:
        """Return whether the limit ``what`` ("processor", "asleep" or "clock") is reached."""
        return self._rest().get(what, 1.0) <= 0

    def _rest(self) -> dict[str, float]:
        now = _counted(self._pid)
        return {what: self._most[what] - (now[what] - began) for what, began in self._began.items() if what in now}


def _counted(pid: int) -> dict[str, float]:
    """Return the time on the clock, and what the system has counted for a process so far, in seconds."""
    now = {"clock": time.monotonic()}
    with suppress(OSError, ValueError):
        now["processor"] = time.clock_gettime((~pid << PER_PROCESS) | SCHEDULED)
        # Time on a processor, time waiting for one, and how often it got one.
        waited = int(_read(f"/proc/{pid}/schedstat").split()[1])
        now["asleep"] = now["clock"] - now["processor"] - waited / 1e9
    return now


def _read(path: str) -> bytes:
    """Return a short file. It is read several times for each frame, and a file object takes three times as long."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, SHORT)
    finally:
        os.close(descriptor)
