"""Lambda: a candidate that passed both gates in, a registered version out. The last state of the training workflow."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.domain.training_run import TrainingRun
from functions.flow.promoting import Approval, Promoting, RunOutcome
from functions.names import Metric
from functions.settings import PromoteSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)


@functools.cache
def _promoting() -> Promoting:
    settings = from_environment(PromoteSettings, os.environ)
    return Promoting(
        registry=wiring.registry(settings),
        training=Documents(wiring.client("s3"), settings.training_bucket, MOST_RUN_DOCUMENT_BYTES),
        approval=Approval(settings.approval),
    )


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return $promotion: how the run ends, and as which version."""
    run = TrainingRun.from_json(event["Snapshot"])
    promoted = _promoting().promote(
        run, event["TrainingJobName"], event["ModelArtifactUri"], event["ModelArtifactSHA256"]
    )
    facts = {"run": run.run_id, "outcome": promoted.outcome, "model_package": promoted.version.model_package}
    logger.info("candidate", extra=facts)
    count(
        {
            Metric.CANDIDATES_PROMOTED: int(promoted.outcome == RunOutcome.PROMOTED),
            Metric.CANDIDATES_REJECTED: int(promoted.outcome == RunOutcome.REJECTED),
        }
    )
    return promoted.answer()
