"""A base image where no registry answers: Debian's smallest system with the libraries of python:slim, and a Python.

The Python is a copy of the one that runs this; it must be one that finds its library by its own place, as those of
pyenv, uv and python.org's source do, and Debian's does not.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from assurance.image.engine import Engine

LIBRARIES = (
    "ca-certificates,netbase,tzdata,libbz2-1.0,libffi8,libgdbm6,libdb5.3,liblzma5,libncursesw6,libreadline8,"
    "libsqlite3-0,libssl3,libuuid1,zlib1g,libexpat1"
)
DEBIAN = "http://deb.debian.org/debian"
SUITES = (
    f"deb {DEBIAN} bookworm main",
    f"deb {DEBIAN} bookworm-updates main",
    f"deb {DEBIAN}-security bookworm-security main",
)
UNUSED = ("test", "idlelib", "tkinter", "ensurepip", "lib2to3")
NAME = "localhost/wetread-base"


def make(engine: Engine) -> str:
    """Return the name of the stand-in for the Dockerfile's base image; it is made unless it is there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"{NAME}:{version}"
    if engine.inspect(name):
        return name
    with tempfile.TemporaryDirectory(dir=engine.folder) as folder:
        root = Path(folder)
        _debian(engine.folder / "debian.tar", root)
        _python(root, version)
        archive = engine.folder / "base.tar"
        _checked("tar", "-C", str(root), "-cf", str(archive), ".")
    changes = ['CMD ["python3"]', "ENV LANG=C.UTF-8", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    options = [word for change in changes for word in ("--change", change)]
    imported = engine.podman("import", "--quiet", *options, str(archive), name)
    archive.unlink()
    if imported.status:
        raise SystemExit(f"podman did not import the base image: {imported.log}")
    return name


def _debian(archive: Path, root: Path) -> None:
    if not archive.is_file():
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
        options = ["--quiet", "--variant=minbase", "--mode=root", f"--include={LIBRARIES}", *excluded]
        _checked("mmdebstrap", *options, "bookworm", str(archive), *SUITES)
    _checked("tar", "-xf", str(archive), "-C", str(root), "--exclude=./dev/*")


def _python(root: Path, version: str) -> None:
    prefix, place = Path(sys.base_prefix), root / "usr/local"
    if prefix == Path("/usr"):
        raise SystemExit("Debian's own Python cannot be copied: run this with a Python of pyenv or uv.")
    library = f"lib/python{version}"
    unused = [f"--exclude=./{library}/{name}" for name in (*UNUSED, "config-*", "site-packages/*")]
    patterns = ["--exclude=./lib/*.a", "--exclude=__pycache__", "--exclude=./include", "--exclude=./share"]
    archive = root / "python.tar"
    _checked("tar", "-C", str(prefix), *unused, *patterns, "-cf", str(archive), f"./bin/python{version}", "./lib")
    _checked("tar", "-xf", str(archive), "-C", str(place), "--no-same-owner")
    archive.unlink()
    for link in ("python", "python3"):
        (place / "bin" / link).symlink_to(f"python{version}")
    for library_file in [*place.rglob("*.so*"), place / "bin" / f"python{version}"]:
        if library_file.is_file() and not library_file.is_symlink():
            _checked("strip", "--strip-unneeded", str(library_file))
    _checked("chroot", str(root), "ldconfig")
    packages = place / library / "site-packages"
    _checked(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(packages), "pip==25.0.1"
    )
    shutil.rmtree(packages / "bin", ignore_errors=True)
    pip = place / "bin/pip"
    pip.write_text("#!/usr/local/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n")
    pip.chmod(0o755)


def _checked(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
