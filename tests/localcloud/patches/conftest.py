"""The emulator's modules in the test's process, restored after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from localcloud.patches.patching import emulator


@pytest.fixture
def module() -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of the emulator; remove what a patch puts into it after the test."""
    before: dict[ModuleType, dict[str, object]] = {}

    def load(name: str) -> ModuleType:
        loaded: ModuleType = emulator(name)
        before.setdefault(loaded, dict(loaded.__dict__))
        return loaded

    yield load
    for loaded, names in before.items():
        loaded.__dict__.clear()
        loaded.__dict__.update(names)
