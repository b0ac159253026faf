"""A project that has nothing but a container image of a few lines: the local cloud is tested with it."""

from __future__ import annotations

import sys
from pathlib import Path

from localcloud.project import Project

_FOLDER = Path(__file__).parent

PROJECT = Project(
    name="example",
    prefix="EXAMPLE_",
    folder=_FOLDER.parents[1],
    synthesise=(sys.executable, "-m", "example.app"),
    sources=(),
    image=(sys.executable, str(_FOLDER / "fake_image.py")),
    state=_FOLDER.parents[1] / ".example",
)
