"""Lambda: repairs once a minute what lost events and dead functions left. A schedule triggers it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from typing import Any

from functions import wiring
from functions.flow.stalling import Stalling
from functions.flow.sweeping import Sweeping
from functions.names import Metric
from functions.settings import SweepSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)


@functools.cache
def _sweeping() -> Sweeping:
    settings = from_environment(SweepSettings, os.environ)
    dispatching, collecting = wiring.dispatching(settings), wiring.collecting(settings)
    return Sweeping(
        dispatching=dispatching,
        collecting=collecting,
        batches=dispatching.batches,
        index=dispatching.index,
        champions=dispatching.champions,
        jobs=dispatching.jobs,
        runs=dispatching.runs,
        marking=collecting.marking,
        ticks=wiring.ticks(settings),
        trying=collecting.trying,
        concluding=wiring.concluding(settings, dispatching.index, dispatching.champions),
        stalling=Stalling(index=dispatching.index, clock=wiring.now, kept_days=settings.results_kept_days),
        report=_report,
        stale_seconds=settings.stale_seconds,
        max_job_seconds=settings.max_job_seconds,
        clock=wiring.now,
    )


def _report(values: Mapping[Metric, float]) -> None:
    """Write metrics at once, so that a sweep that dies later has written them."""
    count(values)
    metrics.flush_metrics()


@traced
def handler(_event: dict[str, Any], _context: object) -> None:
    """Measure, dispatch, repair."""
    swept = _sweeping().run()
    logger.info("swept", extra={"measured": swept.measured, "failures": swept.failures})
    if swept.failures:  # an error of the function raises its alarm; the next sweep tries again
        raise RuntimeError(f"{swept.failures} repairs failed; the log above names them.")
