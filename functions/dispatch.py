"""Lambda: pending rows in, transform jobs out. Ticks trigger it, one at a time (a FIFO queue with one group)."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.flow.dispatching import Dispatching
from functions.names import Metric
from functions.settings import DispatchSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)

JOB_MILLISECONDS = 20_000  # to claim and start one job; expected, not measured, on real tables: 8 to 17 s


@functools.cache
def _dispatching() -> Dispatching:
    return wiring.dispatching(from_environment(DispatchSettings, os.environ))


@traced
@metrics.log_metrics
def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Start the jobs that the policy wants now. Ticks carry no data, so one run answers a whole SQS batch.

    An error fails the whole SQS batch. SQS delivers it again, and the sweep resumes what was left unfinished.
    """
    started = _dispatching().run(lambda: context.get_remaining_time_in_millis() > JOB_MILLISECONDS)
    logger.info("dispatched", extra={"transform_jobs": started})
    count({Metric.JOBS_SUBMITTED: len(started)})
    return {"batchItemFailures": []}
