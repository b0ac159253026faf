"""Lambda: ended transform jobs in, terminal rows out. SageMaker's state changes trigger it through a queue."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.events import job_ended
from functions.aws.ticks import Ticks
from functions.flow.collecting import Collecting
from functions.messages import process
from functions.settings import CollectSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)


@functools.cache
def _parts() -> tuple[Collecting, Ticks]:
    settings = from_environment(CollectSettings, os.environ)
    return wiring.collecting(settings), wiring.ticks(settings)


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Collect each job, then wake dispatch: a slot is free, and rows may be pending again."""
    collecting, ticks = _parts()

    def collect(body: str) -> None:
        ended = job_ended(body)
        outcome = collecting.collect(ended.name, ended.invocation)
        logger.info("collected", extra={"transform_job": ended.name, "outcome": outcome})
        if outcome is None:
            return
        ticks.send(wiring.now())
        count(outcome.metrics())

    return process(event, collect)
