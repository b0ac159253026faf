"""An environment with wetread's core alone: `pip install wetread` without any extra."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = ("aggregation", "express", "functions", "infra", "localcloud", "model_code", "untrusted", "wetread")
RUN = "import sys; sys.path[:] = [sys.argv.pop(1), *sys.path]; from wetread.cli import main; main(prog_name='wetread')"


def core() -> set[str]:
    """Return the names of the distributions that wetread needs without extras, and those that they need."""
    found: set[str] = set()
    waiting = ["wetread"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower())
    return found


def install(folder: Path) -> Path:
    """Fill a folder, to be the only one beside the standard library's, with links to the core's packages."""
    for name in core():
        for file in metadata.files(name) or []:
            top = file.parts[0]
            target = folder / top
            if top not in {"..", "__pycache__"} and name != "wetread" and not target.exists():
                target.symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    ours = metadata.distribution("wetread")
    (folder / "wetread-0.dist-info").mkdir()
    (folder / "wetread-0.dist-info/METADATA").write_text(ours.read_text("METADATA") or ours.read_text("PKG-INFO") or "")
    for package in PACKAGES:
        (folder / package).symlink_to(ROOT / package)
    return folder


def wetread(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in that environment."""
    command = [sys.executable, "-I", "-S", "-c", RUN, str(folder), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})
