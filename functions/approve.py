"""Lambda: approvals in, promotions out. Triggered by SageMaker's model package events through a queue."""

from __future__ import annotations

import functools
import os
from typing import Any

from functions import wiring
from functions.aws.events import model_package_arn
from functions.flow.approving import Approved, Approving
from functions.messages import process
from functions.names import Metric
from functions.settings import ApproveSettings, from_environment
from functions.telemetry import count, logger, metrics


@functools.cache
def _approving() -> Approving:
    return Approving(registry=wiring.registry(from_environment(ApproveSettings, os.environ)))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take each approval; one that cannot be promoted any more is told, and is no error."""
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
