"""How long a child process may be waited for, by the kernel's own count of its time.

A process that a codestream has taken over can switch off every timer and block every signal of its own. It cannot
change what the kernel counts, nor survive SIGKILL.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

PER_PROCESS, SCHEDULED = 3, 2  # how Linux makes the number of another process's clock: clock_getcpuclockid(3)


class Patience:
    """The seconds that a child may have from now on: of processor time, of sleep, and on the clock.

    Time in which the child waits for a processor counts on the clock only. A system that does not count processor time
    or sleep of another process (all but Linux) leaves the clock.
    """

    def __init__(self, pid: int, *, processor: float, asleep: float, clock: float) -> None:
        """Begin to count for the process ``pid``, a child that was not waited for yet."""
        self._pid = pid
        self._most = {"processor": processor, "asleep": asleep, "clock": clock}
        self._began = _counted(pid)

    def left(self) -> float:
        """Return for how many seconds nobody need look at the child; 0 or less when one of its times is up."""
        return min(self._rest().values())

    def is_out_of(self, what: str) -> bool:
        """Return whether its time of one kind ("processor", "asleep" or "clock") is up."""
        return self._rest().get(what, 1.0) <= 0

    def _rest(self) -> dict[str, float]:
        now = _counted(self._pid)
        return {what: self._most[what] - (now[what] - began) for what, began in self._began.items() if what in now}


def _counted(pid: int) -> dict[str, float]:
    """What the clock says, and what the system has counted of a process so far, in seconds."""
    now = {"clock": time.monotonic()}
    with suppress(OSError, ValueError):
        now["processor"] = time.clock_gettime((~pid << PER_PROCESS) | SCHEDULED)
        # Time on a processor, time of waiting for one, and how often it had one.
        waited = int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
        now["asleep"] = now["clock"] - now["processor"] - waited / 1e9
    return now
