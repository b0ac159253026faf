"""Lambda: labelled slices in, a frozen snapshot out. The first state of the training workflow."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.artifacts import Artifacts
from functions.aws.champion import Champions
from functions.aws.cohorts import Cohorts
from functions.aws.holdout import Holdout
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents
from functions.aws.patients import Patients
from functions.aws.registry import describe
from functions.flow.comparing import Comparing
from functions.flow.snapshotting import Snapshotting
from functions.settings import SnapshotSettings, from_environment
from functions.telemetry import traced, without_error_text

logger = logging.getLogger(__name__)


@functools.cache
def _snapshotting() -> Snapshotting:
    settings = from_environment(SnapshotSettings, os.environ)
    s3, dynamodb = wiring.client("s3"), wiring.client("dynamodb")
    documents = Documents(s3, settings.training_bucket, MOST_RUN_DOCUMENT_BYTES)
    return Snapshotting(
        cohorts=Cohorts(s3, settings.training_bucket, settings.data_key_arn),
        documents=documents,
        champions=Champions(dynamodb, settings.batches_table),
        comparing=Comparing(
            describe=functools.partial(describe, wiring.client("sagemaker")),
            documents=documents,
            artifacts=Artifacts(s3, settings.models_bucket),
        ),
        holdout=Holdout(dynamodb, settings.batches_table),
        patients=Patients(wiring.client("kms"), settings.patient_key_id),
        served=settings.served,
        labels=settings.labels,
        folds=settings.folds,
        clock=wiring.now,
    )


@traced
@without_error_text
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return $snapshot: the run's data, or why there is no run."""
    run = _snapshotting().take(event["Execution"], event["Input"])
    logger.info(
        "snapshot",
        extra={
            "run": run.run_id,
            "taken": run.taken,
            "snapshot_digest": run.snapshot_digest,
            "slices": run.slices,
        },
    )
    return run.to_json()
