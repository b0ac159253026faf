"""The story of the real-time endpoint: a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assurance.least_privilege.stage import short
from assurance.least_privilege.story import Seen
from tests.infra.needs import Statement


class Hosting:
    """The endpoint of the champion, by the command line."""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Prepare nothing."""
        yield

    def run(self, _statement: Statement) -> Seen:
        """Start the endpoint, and delete it in any case."""
        up = _wetread("endpoint", "up")
        down = _wetread("endpoint", "down")
        if down.returncode:
            raise RuntimeError(down.stderr)
        problem = " ".join(up.stderr.split()).rpartition("Error: ")[2]
        return Seen(up.returncode != 0, f"wetread endpoint up: exit status {up.returncode}, {short(problem)}")

    def repair(self) -> None:
        """Start it, now with the statement, and delete it."""
        up = _wetread("endpoint", "up")
        _wetread("endpoint", "down")
        if up.returncode:
            raise RuntimeError(up.stderr)


def _wetread(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "wetread"
    command = [str(program), "--local", *arguments]
    return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
