"""The memory of a server with all processes that it has started."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

EVERY_SECONDS = 0.5


def resident(root: int, command: str = "") -> int:
    """Return bytes resident in the process, in its process group, and in what descends from either.

    With ``command``: only in descendants with it in their command line, and in theirs. Pages that processes share
    count in each, so that a tree of many looks a little larger than it is.
    """
    processes = _listed()
    tree = _below(processes, root, command)
    return sum(one.kibibytes for one in processes if one.pid in tree) * 1024


def descendants(root: int, command: str) -> set[int]:
    """Return the processes below ``root``, or in its group, with ``command`` in their command line."""
    processes = _listed()
    tree = _tree(processes, {root})
    return {one.pid for one in processes if one.pid in tree and command in one.args}


def _listed() -> list[_Process]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,rss=,args="], capture_output=True, text=True, check=True
    )
    return [_Process.parse(line) for line in listed.stdout.splitlines()]


def _below(processes: list[_Process], root: int, command: str) -> set[int]:
    tree = _tree(processes, {root})
    if command:
        tree = _tree(processes, {one.pid for one in processes if one.pid in tree and command in one.args})
    return tree


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    kibibytes: int
    args: str

    @classmethod
    def parse(cls, line: str) -> _Process:
        pid, parent, group, kibibytes, args = line.split(maxsplit=4)
        return cls(int(pid), int(parent), int(group), int(kibibytes), args)


def _tree(processes: list[_Process], roots: set[int]) -> set[int]:
    # A launcher may exit and leave its server to init: then only the group is common.
    tree = {one.pid for one in processes if not roots.isdisjoint((one.pid, one.group))}
    while more := {one.pid for one in processes if one.parent in tree} - tree:
        tree |= more
    return tree


class Peak:
    """Peak of ``resident`` while ``watching``."""

    def __init__(self, root: int, command: str = "") -> None:
        self.bytes = 0
        self._watched = (root, command)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Poll every half second until the context ends."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(EVERY_SECONDS):
                self.bytes = max(self.bytes, resident(*self._watched))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
