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
from functions.domain.errors import MalformedEvent, RefusalCode
from functions.domain.row import Row, Status
from functions.flow.intake import Intake
from functions.messages import Message, process_messages, seconds_left_of
from functions.names import Metric
from functions.settings import IngestSettings, from_environment
from functions.telemetry import count, logger, metrics

WORKERS = 10
# The last of a batch is begun this long before the end: as long as WORKERS of the worst objects take (infra/ingest.py).
SECONDS_NEEDED = 10.0
HELD_UP = 4  # a delivery that still meets AWS's trouble, six minutes after the upload, is for a person to see


@functools.cache
def _parts() -> tuple[Intake, Ticks]:
    settings = from_environment(IngestSettings, os.environ)
    patients = Patients(wiring.client("kms"), settings.patient_key_id)
    hidden = settings.hidden_keys_table
    intake = Intake(
        uploads=Uploads(wiring.client("s3"), settings.uploads_bucket, settings.work_bucket, settings.data_key_arn),
        index=Index(wiring.client("dynamodb"), settings.index_table),
        patients=patients,
        served=settings.served,
        clock=wiring.now,
        keys=Keys(wiring.client("dynamodb"), hidden, patients) if hidden else None,
        kept_days=settings.results_kept_days,
    )
    return intake, wiring.ticks(settings)


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take each upload in; then, once everything is written, wake dispatch."""
    intake, ticks = _parts()
    rows: list[Row] = []
    held_up: list[Message] = []

    def take(message: Message) -> None:
        try:
            created = object_created(message.body)
            if created.bucket != intake.uploads.bucket:
                raise MalformedEvent("The event is about another bucket than the uploads bucket.")
            row = intake.take(created, delivery=message.delivery)
        except Exception as error:
            if isinstance(error, MalformedEvent) or message.delivery >= HELD_UP:
                held_up.append(message)
            raise
        logger.info("upload taken", extra={"upload_id": row.upload_id, "status": row.status, "code": row.code})
        rows.append(row)

    response = process_messages(
        event, take, workers=WORKERS, seconds_left=seconds_left_of(context), seconds_needed=SECONDS_NEEDED
    )
    # Also for rows that were there before: the first delivery may have died between its write and its tick.
    if any(row.status == Status.PENDING for row in rows):
        ticks.send(wiring.now())
    refused = sum(row.status == Status.REFUSED for row in rows)
    failed = sum(row.code == RefusalCode.INGEST_FAILED for row in rows)
    count({Metric.UPLOADS_ACCEPTED: len(rows) - refused, Metric.UPLOADS_REFUSED: refused})
    count({Metric.UPLOADS_NOT_TAKEN: failed + len(held_up)})
    return response
