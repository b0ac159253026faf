"""Lambda: a job's document in, a verdict out. Both gates of the training workflow."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.domain.leakage import AcquisitionLimits
from functions.domain.promotion import Thresholds
from functions.domain.training_run import TrainingRun
from functions.flow.gating import Gating, Subject, answer
from functions.settings import GateSettings, Metric, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)


@functools.cache
def _gating() -> Gating:
    settings = from_environment(GateSettings, os.environ)
    return Gating(
        documents=Documents(wiring.client("s3"), settings.training_bucket, MOST_RUN_DOCUMENT_BYTES),
        limits=AcquisitionLimits(max_p_value=settings.max_acquisition_p_value, min_gain=settings.min_acquisition_gain),
        thresholds=Thresholds(
            min_balanced_accuracy=settings.min_balanced_accuracy,
            min_sensitivity=settings.min_sensitivity,
            min_specificity=settings.min_specificity,
            min_auc=settings.min_auc,
            max_calibration_error=settings.max_calibration_error,
            champion_margin=settings.champion_margin,
            subgroup_min_patients=settings.subgroup_min_patients,
            max_subgroup_drop=settings.max_subgroup_drop,
        ),
    )


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return $verdict: Passed, and the Reasons, accepted ones included."""
    subject, run = Subject(event["Document"]), TrainingRun.from_json(event["Snapshot"])
    verdict = _gating().judge(subject, run)
    codes = sorted({str(reason.code) for reason in verdict.reasons})
    logger.info("judged", extra={"run": run.run_id, "by": subject, "passed": verdict.passed, "codes": codes})
    count({Metric.CANDIDATES_REJECTED: int(subject == Subject.EVALUATION and not verdict.passed)})
    return answer(verdict)
