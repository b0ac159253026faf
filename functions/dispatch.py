"""Lambda: pending rows in, transform jobs out. Triggered by ticks, one at a time (a FIFO queue with one group)."""

from __future__ import annotations

import functools
import os
from typing import Any

from functions import wiring
from functions.flow.dispatching import Dispatching
from functions.names import Metric
from functions.settings import DispatchSettings, from_environment
from functions.telemetry import count, logger, metrics


@functools.cache
def _dispatching() -> Dispatching:
    return wiring.dispatching(from_environment(DispatchSettings, os.environ))


@metrics.log_metrics
def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Start the jobs that the policy wants now. Ticks carry nothing, so all of a batch are answered by one run.

    An error fails them all: they come again, and the sweep resumes what was left half-made.
    """
    started = _dispatching().run()
    logger.info("dispatched", extra={"transform_jobs": started})
    count({Metric.JOBS_SUBMITTED: len(started)})
    return {"batchItemFailures": []}
