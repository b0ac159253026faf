"""The memory of a server with all processes that it has started."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 0.5


def resident(root: int) -> int:
    """Bytes resident in the process, in its process group, and in what descends from either.

    Pages that processes share count in each, so that a tree of many looks a little larger than it is.
    """
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,pgid=,rss="], capture_output=True, text=True, check=True)
    table = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    # A launcher may leave its server to init: then they have only the group in common.
    tree = {pid for pid, _, group, _ in table if root in {pid, group}}
    while more := {pid for pid, parent, _, _ in table if parent in tree} - tree:
        tree |= more
    return sum(kibibytes for pid, _, _, kibibytes in table if pid in tree) * 1024


class Peak:
    """The most that ``resident`` has found while ``watching``."""

    def __init__(self, root: int) -> None:
        self.bytes = 0
        self._root = root

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every half second until the context ends."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(EVERY_SECONDS):
                self.bytes = max(self.bytes, resident(self._root))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
