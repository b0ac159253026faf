"""What a room may import, where a list of forbidden modules in pyproject.toml would forget some."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).parents[1]


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


ALONE = [
    *(path for room in ("aggregation", "untrusted") for path in (ROOT / room).glob("*.py")),
    ROOT / "functions/names.py",
]


@pytest.mark.parametrize("path", ALONE, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_these_need_the_standard_library_alone(path: Path) -> None:
    assert imported(path) <= sys.stdlib_module_names | {path.parent.name}


def test_each_module_of_functions_is_in_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    named = set(re.findall(r"functions\.(\w+)", " ".join(layers)))
    there = {
        path.stem for path in (ROOT / "functions").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__"} == named


def test_the_local_cloud_imports_no_module_by_a_name_of_ours() -> None:
    ours = re.compile(r"['\"](express|functions|infra|model_code|wetread|assurance|benchmarks|tests)(\.\w+)*['\"]")
    found = {
        path.name: found[0] for path in (ROOT / "localcloud").rglob("*.py") if (found := ours.search(path.read_text()))
    }
    assert found == {}


def test_how_pytorchs_threads_wait_is_set_before_a_test_imports_it() -> None:
    found = "import sys, tests.conftest; print('model_code' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("start", LONGEST)
def test_what_begins_first_is_there(start: str) -> None:
    assert list(ROOT.glob(f"{start.rstrip('/')}*"))


@pytest.mark.check
def test_a_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    packages = ("aggregation", "express", "functions", "infra", "localcloud", "model_code", "untrusted", "wetread")
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            tmp_path / "wheel",
            tmp_path / "clone",
        ],
        check=True,
    )
    (wheel,) = (tmp_path / "wheel").iterdir()
    listed = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(listed.split()) <= set(zipfile.ZipFile(wheel).namelist())
