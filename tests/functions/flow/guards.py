"""Runs the tests of a guard without it: a copy of the functions in which a piece of code is another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
FLOW = "tests/functions/flow"
UNUSED = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")
"""Plugins that take a second to load and that the watching tests do without."""
Verdicts = Mapping[str, Future[subprocess.CompletedProcess[str]]]


class Guard(NamedTuple):
    """A piece of code; a test must notice its removal."""

    watched_by: str
    """The tests that fail without it."""
    file: str
    kept: str
    removed: str


def without_each(guards: Mapping[str, Guard]) -> Any:
    """Return a fixture: the test runs without each selected guard, as many at once as there are cores."""

    @pytest.fixture(scope="module")
    def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
        callspecs = [getattr(item, "callspec", None) for item in request.session.items]
        asked = [one.params["guard"] for one in callspecs if one and one.params.get("guard") in guards]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield {guard: pool.submit(_without, guards[guard], tmp_path_factory.mktemp("guard")) for guard in asked}

    return verdicts


def assert_watched(guards: Mapping[str, Guard], folder: Path) -> None:
    """Check that with every guard in its place the same tests pass."""
    done = _run(_copied(folder), *sorted({guard.watched_by for guard in guards.values()}))
    assert done.returncode == 0, done.stdout[-3000:]


def assert_missed(guard: str, verdicts: Verdicts) -> None:
    """Check that a test failed without the guard, by an assertion or error of its code."""
    done = verdicts[guard].result()
    assert done.returncode == 1, f"no test misses the guard: {guard}\n{done.stdout[-2000:]}"
    assert re.search(r"(^|, )1 failed\b", done.stdout.splitlines()[-1]), f"not a failure:\n{done.stdout[-2000:]}"


def _copied(folder: Path) -> Path:
    """Copy the functions and these tests to change them; all other packages are read from the checkout.

    What Python and pytest have compiled is copied too: it is valid as long as a file keeps its size and time.
    """
    for name in ("express", "functions", "tests"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run some tests against the functions in ``folder``, up to the first failure."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-x", *UNUSED, *tests],
        cwd=folder,
        env={**os.environ, "WETREAD_SCHEDULES": "60", "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def _without(guard: Guard, folder: Path) -> subprocess.CompletedProcess[str]:
    changed = _copied(folder) / guard.file
    source = changed.read_text()
    assert source.count(guard.kept) == 1, f"{guard.file} has changed: the guard {guard.kept!r} is not there once"
    changed.write_text(source.replace(guard.kept, guard.removed))
    for compiled in (changed.parent / "__pycache__").glob(f"{changed.stem}.*"):
        compiled.unlink()
    return _run(folder, guard.watched_by)
