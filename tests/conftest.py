"""For all tests: their tiers, the process that runs them, where the real slices are, and a trained model."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

import model_code  # noqa: F401  (before any test imports PyTorch: it says how PyTorch's threads wait)

FIRST_PORT = 4570
LOCAL_CLOUDS = "tests/localcloud", frozenset({"here", "home"})
"""Where tests start local clouds outside of the end-to-end tests, and by which fixtures."""
SHARED = ("tests/infra", "tests/model_code", "tests/hostile", "tests/localcloud/sagemaker", "tests/localcloud")
"""Folders with tests that share an expensive fixture: one process runs each."""
LONGEST = (
    "tests/e2e/test_training.py",
    "tests/e2e/test_fault_injection.py",
    "tests/e2e/",
    "tests/model_code/",
    "tests/functions/flow/test_guards",
    "tests/functions/flow/test_protocol.py",
    "tests/infra/",
)
"""What takes longest in one process, in the order in which it is begun: what is begun last should be short."""
REAL_SLICES = Path(__file__).parents[2] / "shared/data/covid-ct-md-25"


def pytest_configure(config: pytest.Config) -> None:
    """Give each process a separate port for its local clouds: two that start at once would both take 4566."""
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0").removeprefix("gw")
    os.environ["WETREAD_PORT"] = str(FIRST_PORT + int(worker))


class OneProcessForWhatIsShared(LoadScopeScheduling):
    """Hands out tests file by file, and whole folders where an expensive fixture is shared."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in SHARED if file.startswith(f"{folder}/")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForWhatIsShared:
    """Return the scheduler of tests for processes."""
    return OneProcessForWhatIsShared(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that start a local cloud into the tier ``check``; begin with what takes longest."""
    folder, fixtures = LOCAL_CLOUDS
    for item in items:
        local = item.nodeid.startswith(folder) and fixtures.intersection(getattr(item, "fixturenames", ()))
        if (local or "e2e" in item.keywords) and "story" not in item.keywords:
            item.add_marker(pytest.mark.check)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, path in enumerate(LONGEST) if item.nodeid.startswith(path)), len(LONGEST))


@pytest.fixture(scope="session")
def real_slices() -> list[Path]:
    """The 25 public CT slices; skips where they are not at hand."""
    if not REAL_SLICES.is_dir():
        pytest.skip(f"the public CT slices are not at {REAL_SLICES}")
    return sorted(REAL_SLICES.glob("*.dcm"))


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.tar.gz that the container trained, once for all processes of the tests; they only read it."""
    from tests.training import train  # imports PyTorch: two seconds in each process, and most need none

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    where = shared / "artifact"
    with (shared / "artifact.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not where.exists():
            where.write_text(str(train(tmp_path_factory.mktemp("opt-ml"))))
    return Path(where.read_text())
