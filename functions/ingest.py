"""Lambda: uploads in, rows out. Triggered by S3's "Object Created" events through the ingest queue."""

from __future__ import annotations

import functools
import os
from typing import Any

from functions import wiring
from functions.aws.events import object_created
from functions.aws.index import Index
from functions.aws.keys import Keys
from functions.aws.objects import Uploads
from functions.aws.patients import Patients
from functions.aws.ticks import Ticks
from functions.domain.row import Row, Status
from functions.flow.intake import Intake
from functions.messages import process
from functions.served import served
from functions.settings import IngestSettings, Metric, from_environment
from functions.telemetry import count, logger, metrics

WORKERS = 8


@functools.cache
def _parts() -> tuple[Intake, Ticks]:
    settings = from_environment(IngestSettings, os.environ)
    patients = Patients(wiring.client("kms"), settings.patient_key_id)
    hidden = settings.hidden_keys_table
    intake = Intake(
        uploads=Uploads(wiring.client("s3"), settings.uploads_bucket, settings.work_bucket),
        index=Index(wiring.client("dynamodb"), settings.index_table),
        patients=patients,
        served=served(settings),
        clock=wiring.now,
        keys=Keys(wiring.client("dynamodb"), hidden, patients) if hidden else None,
        kept_days=settings.results_kept_days,
    )
    return intake, wiring.ticks(settings)


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take each upload in; then, once everything is written, wake dispatch."""
    intake, ticks = _parts()
    rows: list[Row] = []

    def take(body: str) -> None:
        row = intake.take(object_created(body))
        logger.info("upload taken", extra={"upload_id": row.upload_id, "status": row.status, "code": row.code})
        rows.append(row)

    response = process(event, take, WORKERS)
    # Also for rows that were there before: the first delivery may have died between its write and its tick.
    if any(row.status == Status.PENDING for row in rows):
        ticks.send(wiring.now())
    refused = sum(row.status == Status.REFUSED for row in rows)
    count({Metric.UPLOADS_ACCEPTED: len(rows) - refused, Metric.UPLOADS_REFUSED: refused})
    return response
