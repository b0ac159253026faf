"""Lambda: a job's document in, a verdict out. Both gates of the training workflow, and the count of attempts."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.holdout import Holdout
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.domain.training_run import TrainingRun
from functions.flow.comparing import Attempting
from functions.flow.gating import Gating, Subject, answer
from functions.names import Metric
from functions.settings import GateSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)

ATTEMPT = "Attempt"  # asked for in the place of a document


@functools.cache
def _gating() -> Gating:
    settings = from_environment(GateSettings, os.environ)
    return Gating(
        documents=Documents(wiring.client("s3"), settings.training_bucket, MOST_RUN_DOCUMENT_BYTES),
        holdout=Holdout(wiring.client("dynamodb"), settings.batches_table),
        limits=settings.acquisition,
        thresholds=settings.thresholds,
    )


@functools.cache
def _attempting() -> Attempting:
    settings = from_environment(GateSettings, os.environ)
    return Attempting(
        documents=Documents(wiring.client("s3"), settings.training_bucket, MOST_RUN_DOCUMENT_BYTES),
        holdout=Holdout(wiring.client("dynamodb"), settings.batches_table),
    )


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return $verdict: Passed, and the Reasons, accepted ones included; or, asked for it, which Attempt the run is."""
    run = TrainingRun.from_json(event["Snapshot"])
    if event["Document"] == ATTEMPT:
        attempt = _attempting().count(run)
        logger.info("attempt", extra={"run": run.run_id, "attempt": attempt})
        count({Metric.CANDIDATES_REJECTED: 0})
        return {"Attempt": attempt, "Reasons": []}
    subject = Subject(event["Document"])
    # An execution that began before attempts were counted has none.
    verdict = _gating().judge(subject, run, event.get("Attempt"))
    codes = sorted({str(reason.code) for reason in verdict.reasons})
    logger.info("judged", extra={"run": run.run_id, "by": subject, "passed": verdict.passed, "codes": codes})
    count({Metric.CANDIDATES_REJECTED: int(subject == Subject.EVALUATION and not verdict.passed)})
    return answer(verdict)
