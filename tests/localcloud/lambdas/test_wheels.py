"""A layer for another processor runs here with the same versions of this machine's packages."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.lambdas.wheels import exchange_compiled

ARM = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp313-cp313-manylinux_2_28_aarch64\n"
PURE = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def layer(folder: Path, name: str, version: str, wheel: str) -> Path:
    """Return a layer's folder with one package whose module cannot be loaded here."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "WHEEL").write_text(wheel)
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('wrong ELF class')\n")
    return folder


def imports(folder: Path, module: str) -> str:
    run = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = [sys.argv[1]]; import {module}; print(1)",
            folder,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    return run.stdout.strip() or run.stderr


def test_a_compiled_package_is_exchanged(tmp_path: Path) -> None:
    found = layer(tmp_path, "numpy", importlib.metadata.version("numpy"), ARM)
    assert "wrong ELF class" in imports(found, "numpy")
    exchange_compiled(found)
    assert imports(found, "numpy") == "1"


def test_a_package_of_python_alone_stays(tmp_path: Path) -> None:
    found = layer(tmp_path, "packaging", importlib.metadata.version("packaging"), PURE)
    exchange_compiled(found)
    assert "wrong ELF class" in imports(found, "packaging")


def test_another_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"A layer has numpy 0\.1; .* is installed here"):
        exchange_compiled(layer(tmp_path, "numpy", "0.1", ARM))


def test_a_package_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"A layer has nothing_such 0\.1, which is not installed here"):
        exchange_compiled(layer(tmp_path, "nothing_such", "0.1", ARM))
