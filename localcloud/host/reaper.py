"""Kill the process groups named on standard input as soon as it ends: no child outlives its owner, however that ends.

The owner holds the other end of the pipe, so standard input ends with the owner, `kill -9` included. A line `+<group>`
guards a process group, `-<group>` releases it. This program imports little, so that it starts fast.
"""

import os
import signal
import subprocess
import sys


def main() -> None:
    """Read the pipe to its end, then kill every group that is still guarded."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guarded: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            guarded.add(group)
        else:
            guarded.discard(group)
    kill(guarded)


def kill(groups: set[int]) -> None:
    """Kill these groups, and the descendants of their leaders that have moved to other groups."""
    strays = _descendants(groups) if groups else set()
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # The group is empty, or (on macOS) consists of zombies only: no process gets the signal.
            continue
    for process in strays:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _descendants(roots: set[int]) -> set[int]:
    """Return every process that descends from `roots`; none where there is no `ps`."""
    try:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return set()
    parents = {int(process): int(parent) for process, parent in map(str.split, listed.stdout.splitlines())}
    found: set[int] = set()
    while more := {process for process, parent in parents.items() if parent in roots | found} - found:
        found |= more
    return found


if __name__ == "__main__":
    main()
