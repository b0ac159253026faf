"""Lambda: repairs once a minute what lost events and dead functions left. A schedule triggers it.

Where many studies are due it invokes itself with orders that only close studies (`functions.flow.sharing`). Such an
invocation never invokes another.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Collection, Mapping
from typing import Any

from functions import wiring
from functions.aws.closers import shards_in
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
        sharing=wiring.sharing(
            settings, os.environ["AWS_LAMBDA_FUNCTION_NAME"], dispatching.index, dispatching.champions
        ),
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
def handler(event: dict[str, Any], _context: object) -> None:
    """Measure, dispatch, repair; or, by an order, close the studies of some shards."""
    shards = shards_in(event)
    if shards is not None:
        _close(shards)
        return
    swept = _sweeping().run()
    logger.info("swept", extra={"measured": swept.measured, "failures": swept.failures})
    if swept.failures:  # an error of the function raises its alarm; the next sweep tries again
        raise RuntimeError(f"{swept.failures} repairs failed; the log above names them.")


def _close(shards: Collection[int]) -> None:
    concluded = _sweeping().sharing.concluding.run(shards)
    _report(concluded.metrics())
    logger.info("studies closed", extra={"revisions": concluded.revisions, "failures": concluded.failures})
    if concluded.failures:
        raise RuntimeError(f"{concluded.failures} studies were not closed; the log above names them.")
