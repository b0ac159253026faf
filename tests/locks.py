"""The hashes of deployed packages; `python -m tests.locks` queries the package index and writes three locks.

`python -m tests.locks torch INDEX` writes model_code/torch-cpu.lock, from PyTorch's index of builds for CPUs.

Which index that is, pip knows (PIP_INDEX_URL, `pip config`); it must answer in JSON, as PyPI does.

model_code/requirements.lock is what the image installs, infra/layer.lock what `make setup` installs first, since the
functions' layer is copied from there, and infra/dicom_layer.lock what the layer of DICOM results is installed from.
Every wheel of a pinned version that Linux on x86-64 or Arm could take is listed, whatever its Python, and no source
distribution: nothing is built, and so no setup script run. torch is not in it, since the stage names the index of its
build: the builds for CPUs have a lock of their own, those for CUDA none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "model_code/requirements.txt"
CONSTRAINTS = ROOT / "constraints.txt"
LOCK = ROOT / "model_code/requirements.lock"
LAYER_LOCK = ROOT / "infra/layer.lock"
DICOM_LOCK = ROOT / "infra/dicom_layer.lock"
TORCH_LOCK = ROOT / "model_code/torch-cpu.lock"
AS_JSON = "application/vnd.pypi.simple.v1+json"  # PEP 691
FITS = re.compile(r"-(any|manylinux\w*_(x86_64|aarch64)[.\w]*)\.whl$")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([\w.]+)$", re.MULTILINE)
UNLOCKED = "torch"
HEAD = """\
# requirements.txt but torch, with the SHA-256 of every wheel that Linux could take: `python -m tests.locks` writes it.
# The list is complete, so it is installed with --no-deps, and --require-hashes takes nothing else.
"""
LAYER_HEAD = """\
# What the functions' layer is copied from, with the SHA-256 of every wheel: `python -m tests.locks` writes it.
"""
DICOM_HEAD = """\
# What the layer of DICOM results is installed from, with the SHA-256 of every wheel: `python -m tests.locks` writes it.
"""


TORCH_HEAD = """\
# torch of PyTorch's index of builds for CPUs, with the SHA-256 of its wheels for Linux and Python 3.11 and 3.12, which
# that index has in its links: `python -m tests.locks torch INDEX` writes it. requirements.lock has the other packages.
"""
LINK = re.compile(r'href="([^"#]+)#sha256=([0-9a-f]{64})"')
PYTHONS = ("cp311", "cp312")  # of the tests, and of the image


def pins(path: Path) -> dict[str, str]:
    """Return the exact versions in a file of requirements, by normal name."""
    return {normal(name): version for name, version in PIN.findall(path.read_text())}


def of_layer() -> dict[str, str]:
    """Return the exact versions of the functions' layer, by normal name."""
    from infra.layer import DISTRIBUTIONS  # which starts the CDK

    tested = pins(CONSTRAINTS)
    return {name: tested[name] for name in map(normal, DISTRIBUTIONS)}


def of_dicom_layer() -> dict[str, str]:
    """Return the exact versions of the layer of DICOM results, by normal name."""
    from infra.dicom_layer import DISTRIBUTIONS  # which starts the CDK

    tested = pins(CONSTRAINTS)
    return {name: tested[name] for name in map(normal, DISTRIBUTIONS)}


def of_image() -> dict[str, str]:
    """Return the exact versions of the image's packages except torch, by normal name."""
    return {name: version for name, version in pins(REQUIREMENTS).items() if name != UNLOCKED}


def locked(lock: Path) -> dict[str, tuple[str, list[str]]]:
    """Return a lock's versions and hashes, by normal name."""
    text = lock.read_text().replace("\\\n", " ")
    found = re.findall(r"^([\w.-]+)==([\w.+]+)((?:\s+--hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    return {normal(name): (version, re.findall(r"[0-9a-f]{64}", hashes)) for name, version, hashes in found}


def normal(name: str) -> str:
    """Return a package's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def index_of_pip() -> str:
    """Return the URL of pip's index: configured, or its default."""
    command = [sys.executable, "-m", "pip", "download", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "1000"})
    (found,) = re.findall(r"--index-url .*\(default (\S+?)/?\)", shown.stdout)
    return str(found)


def hashes_of(index: str, name: str, version: str) -> list[str]:
    """Return the SHA-256 of each fitting wheel of a version that was not taken back."""
    request = urllib.request.Request(f"{index}/{name}/", headers={"Accept": AS_JSON})
    with urllib.request.urlopen(request) as answer:
        files: list[dict[str, Any]] = json.load(answer)["files"]
    wheels = [one for one in files if one["filename"].split("-")[1] == version and FITS.search(one["filename"])]
    return sorted({one["hashes"]["sha256"] for one in wheels if not one["yanked"]})


def write(lock: Path, head: str, wanted: dict[str, str]) -> None:
    """Write one lock; a package without a fitting wheel ends it."""
    lines, index = [head], index_of_pip()
    for name, version in wanted.items():
        hashes = hashes_of(index, name, version)
        if not hashes:
            raise SystemExit(f"{index} has no wheel of {name} {version} for Linux")
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{one}" for one in hashes)]) + "\n")
    lock.write_text("".join(lines))


def write_torch(lock: Path, index: str, version: str) -> None:
    """Write the lock of torch's builds for CPUs from the links of ``index``/torch/; no fitting link ends it."""
    with urllib.request.urlopen(f"{index.rstrip('/')}/torch/") as answer:
        links = LINK.findall(answer.read().decode())
    found = {}
    for link, digest in links:
        name = urllib.parse.unquote(link.rpartition("/")[2])
        parts = name.split("-")
        if FITS.search(name) and parts[1] == f"{version}+cpu" and parts[2] == parts[3] and parts[2] in PYTHONS:
            found[name] = digest
    if not found:
        raise SystemExit(f"{index} has no link to a wheel of torch {version}+cpu for Linux with its SHA-256")
    hashes = [f"--hash=sha256:{one}" for one in sorted(found.values())]
    lock.write_text(TORCH_HEAD + " \\\n    ".join([f"torch=={version}+cpu", *hashes]) + "\n")


def main(arguments: list[str]) -> None:
    """Write three locks, or torch's."""
    if arguments[:1] == ["torch"] and len(arguments) == 2:
        write_torch(TORCH_LOCK, arguments[1], pins(REQUIREMENTS)[UNLOCKED])
        return
    write(LOCK, HEAD, of_image())
    write(LAYER_LOCK, LAYER_HEAD, of_layer())
    write(DICOM_LOCK, DICOM_HEAD, of_dicom_layer())


if __name__ == "__main__":
    main(sys.argv[1:])
