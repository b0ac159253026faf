"""Lambda: approvals in, promotions out. SageMaker's model package events trigger it through a queue."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.events import model_package_arn
from functions.flow.approving import Approved, Approving
from functions.messages import process
from functions.names import Metric
from functions.settings import ApproveSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)


@functools.cache
def _approving() -> Approving:
    return Approving(registry=wiring.registry(from_environment(ApproveSettings, os.environ)))


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle each approval. A version that can no longer be promoted is logged and counted; it is not an error."""
    outcomes: list[Approved] = []

    def approve(body: str) -> None:
        arn = model_package_arn(body)
        outcome = _approving().approve(arn)
        logger.info("approval", extra={"model_package_arn": arn, "outcome": outcome.name})
        outcomes.append(outcome)

    response = process(event, approve)
    count(
        {
            Metric.CANDIDATES_PROMOTED: outcomes.count(Approved.PROMOTED),
            Metric.APPROVALS_REFUSED: outcomes.count(Approved.REFUSED),
        }
    )
    return response
