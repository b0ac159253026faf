"""Kill the process groups named on standard input as soon as it ends: no child outlives its owner, however that dies.

The owner holds the other end of the pipe, so the kernel tells this program of the owner's death, kill -9 included.
A line `+<group>` guards a process group, `-<group>` lets it go. It imports next to nothing, to start in no time.
"""

import os
import signal
import sys


def main() -> None:
    """Follow the pipe to its end, then kill every group that is still guarded."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guarded: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            guarded.add(group)
        else:
            guarded.discard(group)
    for group in guarded:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
