"""Where jobs and endpoints run: the address they reach S3 at, a folder for each, the command of their container."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcloud.project import Project

# Containers give way to the emulator and the functions, which need little but soon.
_NICE = ("nice", "-n", "5")


@dataclass(frozen=True)
class Place:
    """The surroundings of every job and endpoint."""

    endpoint: str
    scratch: Path
    ping_seconds: float
    project: Project

    def command_of(self, *arguments: str) -> tuple[str, ...]:
        """The container's command line with `serve`, `train` or a processing job's arguments."""
        return (*_NICE, *self.project.image, *arguments)

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A folder for one job or endpoint, removed at its end."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
