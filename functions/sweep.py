"""Lambda: once a minute, the net under every lost event. Triggered by a schedule."""

from __future__ import annotations

import functools
import os
from typing import Any

from functions import wiring
from functions.flow.sweeping import Sweeping
from functions.settings import SweepSettings, from_environment
from functions.telemetry import count, logger, metrics


@functools.cache
def _sweeping() -> Sweeping:
    return wiring.sweeping(from_environment(SweepSettings, os.environ))


@metrics.log_metrics
def handler(_event: dict[str, Any], _context: object) -> None:
    """Repair, dispatch, measure."""
    measured = _sweeping().run()
    logger.info("swept", extra={"measured": measured})
    count(measured)
