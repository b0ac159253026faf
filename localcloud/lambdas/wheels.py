"""Compiled packages of a layer, in the builds of this machine.

A layer for another processor or Python holds wheels that this machine cannot load. In their place an environment sees
the same versions of this virtual environment; another version than the layer's is an error, as it is on AWS.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from email.parser import HeaderParser
from pathlib import Path

ANY = "any"  # the platform of a pure-Python wheel


def exchange_compiled(folder: Path) -> None:
    """Exchange the compiled packages in a layer's folder; raise ImportError for one that is not installed here."""
    for stated in sorted(folder.glob("*.dist-info/WHEEL")):
        tags = HeaderParser().parsestr(stated.read_text()).get_all("Tag", [])
        if tags and not any(tag.rpartition("-")[2] == ANY for tag in tags):
            _exchange(folder, stated.parent)


def _exchange(folder: Path, about: Path) -> None:
    name, version = about.name.removesuffix(".dist-info").rsplit("-", 1)
    try:
        installed = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"A layer has {name} {version}, which is not installed here. Install it.") from None
    if installed.version != version:
        raise ImportError(f"A layer has {name} {version}; {installed.version} is installed here. Install the layer's.")
    shutil.rmtree(about)
    for top in sorted({file.parts[0] for file in installed.files or []} - {".."}):
        path = folder / top
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(Path(str(installed.locate_file(top))))
