"""Lambda's memory limit: how much of it an environment's process holds, and has held at most.

Lambda ends a function if its resident memory exceeds its MemorySize. Here the kernel reports every few milliseconds the
most that the process has ever held, so that a peak between two reads counts too. A process that asks for much at once
can hold more than its limit for that long. Only Linux reports the peak; elsewhere there is no limit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 0.02
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_megabytes(pid: int) -> int | None:
    """Return the peak resident memory of a process in MB, rounded up; None if the kernel does not report it."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except (OSError, UnicodeDecodeError):
        return None
    return -(-int(found.group(1)) // 1024) if found else None


class MemoryLimit:
    """Watches one process, and calls ``exceed`` once when it has held more than ``megabytes``."""

    def __init__(self, pid: int, megabytes: int, exceed: Callable[[], None]) -> None:
        self._pid = pid
        self._megabytes = megabytes
        self._exceed = exceed
        self._ended = threading.Event()
        self.exceeded = False
        self.most_used = 0

    def start(self) -> None:
        """Watch until the process ends, is ended, or ``stop`` is called."""
        threading.Thread(target=self._watch, name="lambda-memory", daemon=True).start()

    def look(self) -> int:
        """The most MB that the process has held so far, and never more than it may."""
        self.most_used = max(self.most_used, peak_megabytes(self._pid) or 0)
        return min(self.most_used, self._megabytes)

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look()
            if self.most_used > self._megabytes:
                self.exceeded = True
                self._exceed()
                return
