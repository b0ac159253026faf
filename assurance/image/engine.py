"""buildah and podman without a daemon: images in a folder of our own, containers like those of SageMaker's jobs.

Root needs no CAP_SYS_RESOURCE: limits are set to what is allowed anyway, because the engines' own are higher. runc runs
under both versions of control groups.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Programs, and the Debian packages that have them.
TOOLS = {name: name for name in ("buildah", "podman", "runc", "conmon", "mmdebstrap")} | {"strip": "binutils"}
LONGEST_SECONDS = 1800
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=8192:8192")


def unable() -> str:
    """Return why no image can be built and run here, and what to do; empty if nothing is in the way."""
    if missing := [package for program, package in TOOLS.items() if shutil.which(program) is None]:
        return f"Not installed: {', '.join(missing)}. On Debian: apt-get install {' '.join(missing)}"
    return "" if os.geteuid() == 0 else "Images are built and run by root alone here; this is another user."


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit status, and what it wrote to stdout and stderr together."""

    status: int
    log: str


@dataclass(frozen=True)
class Container:
    """A container that was started, by its name."""

    engine: Engine
    name: str

    def log(self) -> str:
        """Return what it wrote so far."""
        return self.engine.podman("logs", self.name).log

    def signal(self, name: str) -> None:
        """Send a signal to its first process; nothing happens if that has ended."""
        self.engine.podman("kill", "--signal", name, self.name)

    def wait_for_log(self, text: str, seconds: float) -> None:
        """Return when its log has ``text``; raises RuntimeError after ``seconds``, or when it has ended."""
        end = time.monotonic() + seconds
        while text not in (written := self.log()):
            if time.monotonic() > end or not self._first_process():
                raise RuntimeError(f"no {text!r} in its log: {written[-300:]}")
            time.sleep(0.1)

    def wait(self, seconds: float) -> int | None:
        """Return its exit status, or None if it still runs after ``seconds``."""
        with suppress(subprocess.TimeoutExpired, ValueError):
            return int(self.engine.podman("wait", self.name, timeout=seconds).log.split()[-1])
        return None

    @property
    def pid(self) -> int:
        """The first process, as this machine counts; raises RuntimeError with the log when it has ended."""
        found = self._first_process()
        if found == 0:
            raise RuntimeError(f"the container has ended: {self.log().strip()[-400:]}")
        return found

    def _first_process(self) -> int:
        """Return the number of the first process; 0 when it has ended."""
        return int(self.engine.podman("inspect", "--format", "{{.State.Pid}}", self.name).log)

    def remove(self) -> None:
        """Kill and remove it."""
        self.engine.podman("rm", "--force", "--time", "0", self.name)


@dataclass(frozen=True)
class Engine:
    """The images and containers below one folder."""

    folder: Path
    driver: str = "overlay"

    @property
    def _store(self) -> list[str]:
        folders = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return [*folders, "--storage-driver", self.driver]

    def podman(self, *arguments: str, timeout: float | None = None) -> Ended:
        """Run podman; raises subprocess.TimeoutExpired."""
        options = ["--cgroup-manager", "cgroupfs", "--runtime", "runc", "--log-level", "error"]
        return _run(["podman", *self._store, *options, *arguments], timeout)

    def buildah(self, *arguments: str) -> Ended:
        """Run buildah."""
        return _run(["buildah", *self._store, *arguments], None)

    def run(self, image: str, options: Sequence[str], command: Sequence[str]) -> Ended:
        """Run a container to its end, as ``start`` does; raises RuntimeError if it does not end."""
        name = f"wetread-{uuid.uuid4().hex}"
        options = ["--rm", "--name", name, *LIMITS, *_network(options), *options]
        try:
            return self.podman("run", *options, image, *command, timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            Container(self, name).remove()  # podman has ended, and the container has not
            raise RuntimeError(f"{command[0]} still ran after {LONGEST_SECONDS} s") from None

    def start(self, name: str, image: str, options: Sequence[str], command: Sequence[str]) -> Container:
        """Start a container; raises RuntimeError with the engine's words."""
        started = self.podman("run", "--detach", "--name", name, *LIMITS, *_network(options), *options, image, *command)
        if started.status:
            raise RuntimeError(f"podman did not start {command}: {started.log}")
        return Container(self, name)

    def inspect(self, image: str) -> dict[str, Any]:
        """Return podman's description of an image; empty if there is none."""
        found = self.podman("image", "inspect", image)
        described: list[dict[str, Any]] = json.loads(found.log) if found.status == 0 else [{}]
        return described[0]


def _network(options: Sequence[str]) -> list[str]:
    return [] if any(option.startswith("--network") for option in options) else ["--network", "none"]


def _run(command: Sequence[str], timeout: float | None) -> Ended:
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
    )
    return Ended(done.returncode, done.stdout)
