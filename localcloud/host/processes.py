"""Child processes that end with their owner: each is its own process group, guarded by the reaper."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from localcloud.host import reaper

# The shell registers itself with the reaper before it becomes the program, and holds the pipe until then. So the reaper
# cannot miss this child when the owner dies; a registration by the owner after the start could be missed.
_ANNOUNCE = 'echo "+$$" >&0 && exec "$@" </dev/null'


class ChildProcess:
    """One guarded child and every process that it starts in its group."""

    def __init__(self, popen: subprocess.Popen[bytes], guard: Guard):
        self._popen = popen
        self._guard = guard
        self._reaped = False
        self._reaping = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._popen.pid

    @property
    def output(self) -> IO[bytes]:
        """Standard output and error in one stream, if the child was started with a pipe."""
        if self._popen.stdout is None:
            raise ValueError("this child was not started with stdout=subprocess.PIPE")
        return self._popen.stdout

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        status = self._popen.poll()
        if status is not None:
            self._reap_group()
        return status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the status; raise subprocess.TimeoutExpired after `timeout` seconds."""
        status = self._popen.wait(timeout)
        self._reap_group()
        return status

    def stop(self, grace: float = 5.0) -> int:
        """End the group with SIGTERM, and SIGKILL after `grace` seconds (at once if 0). Return the status."""
        if self.poll() is None and grace > 0:
            self._signal(signal.SIGTERM)
            try:
                return self.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        with self._reaping:
            if not self._reaped:
                reaper.kill({self.pid})
        return self.wait()

    def _signal(self, number: signal.Signals) -> None:
        with self._reaping, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._reaped:
                os.killpg(self.pid, number)

    def _reap_group(self) -> None:
        """Kill what the ended child left in its group, once: its id may belong to another process afterwards."""
        self._signal(signal.SIGKILL)
        with self._reaping:
            if not self._reaped:
                self._reaped = True
                self._guard.release(self.pid)


class Guard:
    """Starts children, and the reaper that kills them when this process has ended."""

    def __init__(self) -> None:
        self._closing = threading.Lock()
        self._closed = False
        reading, self._pipe = os.pipe()
        self._reaper = subprocess.Popen(  # noqa: S603 (a file of this package)
            [sys.executable, "-I", "-S", str(Path(reaper.__file__))],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reading)

    @property
    def reaper_pid(self) -> int:
        """The process id of the reaper."""
        return self._reaper.pid

    def start(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], **streams: Any
    ) -> ChildProcess:
        """Start `command` in a new process group with this environment and an empty standard input; return the child.

        `streams` are Popen's stdout and stderr. Raise RuntimeError if the reaper has ended.
        """
        if self._closed or self._reaper.poll() is not None:
            raise RuntimeError("The reaper has ended, so no child may be started any more. Start this program anew.")
        popen = subprocess.Popen(  # noqa: S603 (the shell's program is constant, the command goes as arguments)
            ["/bin/sh", "-c", _ANNOUNCE, "sh", *command],
            cwd=cwd,
            env=dict(environment),
            stdin=self._pipe,
            start_new_session=True,
            **streams,
        )
        return ChildProcess(popen, self)

    def release(self, group: int) -> None:
        """Report to the reaper that this group has ended, so that a later group with its id is left alone."""
        # A reaper that was killed or has ended guards no group any more.
        with self._closing, contextlib.suppress(BrokenPipeError):
            if not self._closed:
                os.write(self._pipe, f"-{group}\n".encode())

    def close(self) -> None:
        """Kill all children and end the reaper; afterwards no child can be started."""
        with self._closing:
            self._closed = True
            os.close(self._pipe)
        self._reaper.wait()


@functools.cache
def guard() -> Guard:
    """Return the guard of this process, started by the first call. It ends with the process."""
    return Guard()
