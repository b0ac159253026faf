"""Lambda: a candidate that passed both gates in, a registered version out. The last state of the training workflow."""

from __future__ import annotations

import functools
import os
from typing import Any

from functions import wiring
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.flow.promoting import Approval, Outcome, Promoting
from functions.names import Metric
from functions.settings import PromoteSettings, from_environment
from functions.telemetry import count, logger, metrics


@functools.cache
def _promoting() -> Promoting:
    settings = from_environment(PromoteSettings, os.environ)
    return Promoting(
        registry=wiring.registry(settings),
        training=Documents(wiring.client("s3"), settings.training_bucket, MOST_RUN_DOCUMENT_BYTES),
        approval=Approval(settings.approval),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with $promotion: how the run ends, and as which version."""
    taken = event["Snapshot"]
    promoted = _promoting().promote(
        taken, event["TrainingJobName"], event["ModelArtifactUri"], event["ModelArtifactSHA256"]
    )
    facts = {"run": taken["Run"], "outcome": promoted.outcome, "model_package": promoted.version.model_package}
    logger.info("candidate", extra=facts)
    count(
        {
            Metric.CANDIDATES_PROMOTED: int(promoted.outcome == Outcome.PROMOTED),
            Metric.CANDIDATES_REJECTED: int(promoted.outcome == Outcome.REJECTED),
        }
    )
    return promoted.answer()
