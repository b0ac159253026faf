"""Many schedules on all cores, and which of them failed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.simulation import Simulation


@dataclass(frozen=True)
class Seen:
    """One schedule: its size, and why it failed ("" if it did not)."""

    seed: int
    uploads: int
    calls: int
    crashes: int
    failure: str


@contextmanager
def cores() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of one new process for each core, so that none inherits a lock or a thread."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=spawn, initializer=_quiet)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def run(pool: ProcessPoolExecutor, seeds: Iterable[int]) -> Iterator[Seen]:
    """Return each seed's schedule, in order."""
    return pool.map(weather, seeds, chunksize=2)


def weather(seed: int) -> Seen:
    """Run one schedule; return its failure instead of raising it."""
    simulation, failure = Simulation(seed), ""
    try:
        simulation.run()
    except Exception:
        failure = traceback.format_exc()
    return Seen(seed, len(simulation.bodies), simulation.calls, simulation.crashes, failure)


def _quiet() -> None:
    # The schedule causes the errors itself, and the functions log each of them.
    logging.disable(logging.CRITICAL)
