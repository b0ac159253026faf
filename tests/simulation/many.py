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

from tests.simulation.simulation import Storm


@dataclass(frozen=True)
class Seen:
    """One schedule: how much it was, and why it failed ("" if it did not)."""

    seed: int
    uploads: int
    calls: int
    crashes: int
    failure: str


@contextmanager
def cores() -> Iterator[ProcessPoolExecutor]:
    """Yield a process for each core, started afresh, so that none inherits a lock or a thread."""
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
    """Run one schedule, whatever becomes of it."""
    storm, failure = Storm(seed), ""
    try:
        storm.run()
    except Exception:
        failure = traceback.format_exc()
    return Seen(seed, len(storm.bodies), storm.calls, storm.crashes, failure)


def _quiet() -> None:
    # A storm's errors are its own doing, and the functions log each of them.
    logging.disable(logging.CRITICAL)
