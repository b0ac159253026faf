"""Fixtures for all tests: where the real slices are, if they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import train

REAL_SLICES = Path(__file__).parents[2] / "shared/data/covid-ct-md-25"


@pytest.fixture(scope="session")
def real_slices() -> list[Path]:
    """The 25 public CT slices; skips where they are not at hand."""
    if not REAL_SLICES.is_dir():
        pytest.skip(f"the public CT slices are not at {REAL_SLICES}")
    return sorted(REAL_SLICES.glob("*.dcm"))


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.tar.gz that the container trained."""
    return train(tmp_path_factory.mktemp("opt-ml"))
