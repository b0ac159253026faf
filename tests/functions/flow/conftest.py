"""Queries of an index ask its partitions one after another: the tables in memory answer at once."""

from __future__ import annotations

import pytest

from tests.simulation.actors import SerialPool


@pytest.fixture(autouse=True)
def partitions_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no threads: 17 a query made most of a simulated day's time."""
    monkeypatch.setattr("functions.aws.ordered.ThreadPoolExecutor", SerialPool)
