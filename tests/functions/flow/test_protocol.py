"""Random schedules over the real code: crashes at AWS calls, repeated, late, lost events, zombies, stale reads, skew.

In the midst of it a second model is promoted and, later, withdrawn: its results are marked and some are read again.
WETREAD_SCHEDULES sets how many seeds are run; `python -m assurance.simulation` runs any number and counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation import many
from tests.simulation.simulation import Simulation

pytestmark = pytest.mark.timeout(900)
SCHEDULES = int(os.environ.get("WETREAD_SCHEDULES", "200"))
TOGETHER = 100


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with many.cores() as pool:
        yield pool


@pytest.mark.parametrize("first", range(0, SCHEDULES, TOGETHER))
def test_no_schedule_loses_doubles_or_strands_an_upload(first: int, pool: ProcessPoolExecutor) -> None:
    for seen in many.run(pool, range(first, min(first + TOGETHER, SCHEDULES))):
        assert not seen.failure, f"Simulation({seen.seed}).run():\n{seen.failure}"


def test_a_seed_is_one_exact_schedule() -> None:
    first, second = Simulation(7), Simulation(7)
    first.run()
    second.run()
    assert first.calls == second.calls
    assert first.world.dynamodb.tables == second.world.dynamodb.tables
