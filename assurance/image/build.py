"""Builds model_code/Dockerfile as it is, with buildah."""

from __future__ import annotations

import hashlib
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from assurance.image import base
from assurance.image.engine import LIMITS, Engine

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "model_code/Dockerfile"
IMAGE = "localhost/wetread-model:check"
# How this machine reaches its package index: mounted for the build, and not in the image.
OF_PIP = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/ssl/certs")
ONLY_HERE = re.compile(r"(?:file://)?(/[^\s'\"\]]+)")


def build(engine: Engine, *, pull: bool) -> str:
    """Build the image and return its name; raises SystemExit with the end of the build's log."""
    options = [
        "--layers",
        "--format",
        "docker",
        "--network",
        "host",
        "--isolation",
        "oci",
        "--runtime",
        "runc",
        *LIMITS,
    ]
    if not pull:
        options += ["--from", base.make(engine), "--pull-never"]
        options += _torch_of_this_machine(engine.folder)
    for path in [*OF_PIP, *_indexes_of_pip()]:
        if Path(path).exists():
            options += ["--volume", f"{path}:{path}:ro"]
    built = engine.buildah("bud", *options, "--file", str(DOCKERFILE), "--ignorefile", f"{DOCKERFILE}.dockerignore",
                           "--tag", IMAGE, str(ROOT))  # fmt: skip
    (engine.folder / "build.log").write_text(built.log)
    if built.status:
        raise SystemExit(f"{built.log[-3000:]}\nThe image was not built ({engine.folder}/build.log).")
    engine.podman("image", "prune", "--force")  # the image of an earlier Dockerfile, which has more than 1 GB
    return IMAGE


def _configured() -> str:
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _indexes_of_pip() -> list[str]:
    """Return the folders of this machine in which pip looks for packages."""
    lines = [line for line in _configured().splitlines() if "extra-index-url" in line]
    return [path for line in lines for path in ONLY_HERE.findall(line)]


def _torch_of_this_machine(folder: Path) -> list[str]:
    """Return the options of an index of CPU builds with the wheel that pip knows here; none without such a wheel."""
    lines = [line for line in _configured().splitlines() if "find-links" in line]
    places = [Path(path) for line in lines for path in ONLY_HERE.findall(line)]
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheels = sorted(wheel for place in places for wheel in place.glob(f"torch-*+cpu-{tag}-*.whl"))
    if not wheels:
        return []
    page = folder / "index/cpu/torch"
    page.mkdir(parents=True, exist_ok=True)
    name = wheels[-1].name
    if not (page / name).is_file():
        shutil.copyfile(wheels[-1], page / name)
    with (page / name).open("rb") as wheel:
        digest = hashlib.file_digest(wheel, "sha256").hexdigest()
    link = f'<a href="{quote(name)}#sha256={digest}">{html.escape(name)}</a>'
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
    return ["--volume", f"{folder / 'index'}:/index:ro", "--build-arg", "TORCH_INDEX_URL=file:///index/cpu"]
