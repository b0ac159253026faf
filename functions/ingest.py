"""Lambda: uploads in, rows out. S3's "Object Created" events trigger it through the ingest queue."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.events import object_created
from functions.aws.index import Index
from functions.aws.keys import Keys
from functions.aws.objects import Uploads
from functions.aws.patients import Patients
from functions.aws.studies import Studies
from functions.aws.ticks import Ticks
from functions.domain import layout
from functions.domain.errors import MalformedEvent, RefusalCode
from functions.domain.row import Row, Status
from functions.flow.ingesting import Ingesting
from functions.messages import Message, process_messages, seconds_left_of
from functions.names import Metric
from functions.settings import IngestSettings, from_environment
from functions.telemetry import count, metrics, traced

logger = logging.getLogger(__name__)

WORKERS = 10
# No message is begun later than this before the timeout: WORKERS of the worst objects take as long (infra/ingest.py).
SECONDS_NEEDED = 10.0
# How long AWS may take to answer, and how often it is asked again: all that, with the pauses, ends before the function
# does. A function that is cut off would cost the upload a try. A copy takes longer than a row.
S3_SECONDS, S3_RETRIES = 5, 1
OTHERS_SECONDS, OTHERS_RETRIES = 4, 2
HELD_UP = 4  # the delivery from which AWS trouble is shown to a person: it is six minutes after the upload


@functools.cache
def _parts() -> tuple[Ingesting, Ticks]:
    settings = from_environment(IngestSettings, os.environ)
    s3 = wiring.client("s3", S3_SECONDS, S3_RETRIES)
    kms, dynamodb = (wiring.client(service, OTHERS_SECONDS, OTHERS_RETRIES) for service in ("kms", "dynamodb"))
    patients = Patients(kms, settings.patient_key_id)
    hidden = settings.hidden_keys_table
    ingesting = Ingesting(
        uploads=Uploads(s3, settings.uploads_bucket, settings.work_bucket, settings.data_key_arn),
        index=Index(dynamodb, settings.index_table),
        patients=patients,
        studies=Studies(dynamodb, settings.studies_table, settings.results_kept_days),
        study_quiet_seconds=settings.study_quiet_seconds,
        served=settings.served,
        clock=wiring.now,
        keys=Keys(dynamodb, hidden, patients) if hidden else None,
        kept_days=settings.results_kept_days,
    )
    return ingesting, wiring.ticks(settings)


@traced
@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Ingest each upload; once all rows are written, wake dispatch."""
    ingesting, ticks = _parts()
    rows: list[Row] = []
    held_up: list[Message] = []

    def take(message: Message) -> None:
        try:
            created = object_created(message.body)
            if created.bucket != ingesting.uploads.bucket:
                raise MalformedEvent("The event is about another bucket than the uploads bucket.")
            if layout.is_folder(created.key, created.size):
                return
            row = ingesting.take(created, delivery=message.delivery)
        except Exception as error:
            if isinstance(error, MalformedEvent) or message.delivery >= HELD_UP:
                held_up.append(message)
            raise
        logger.info("upload taken", extra={**row.log_fields, "status": row.status, "code": row.code})
        rows.append(row)

    response = process_messages(
        event, take, workers=WORKERS, seconds_left=seconds_left_of(context), seconds_needed=SECONDS_NEEDED
    )
    # Also for rows that existed before: the first delivery may have died between its write and the next ones.
    ingesting.touch(rows)
    if any(row.status == Status.PENDING for row in rows):
        ticks.send(wiring.now())
    refused = sum(row.status == Status.REFUSED for row in rows)
    failed = sum(row.code == RefusalCode.INGEST_FAILED for row in rows)
    count({Metric.UPLOADS_ACCEPTED: len(rows) - refused, Metric.UPLOADS_REFUSED: refused})
    count({Metric.UPLOADS_NOT_TAKEN: failed + len(held_up)})
    return response
