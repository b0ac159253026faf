"""Lambda: revisions of studies in, DICOM results out. Events of EventBridge trigger it through a queue."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from functions import wiring
from functions.aws.announcements import Announcements
from functions.aws.champion import Champions
from functions.aws.deliveries import Deliveries, announced
from functions.aws.index import Index
from functions.aws.keys import HiddenKeys
from functions.aws.objects import Documents, Uploads
from functions.aws.studies import Studies
from functions.dicom_results.stage import Kind, Stage, codes_of
from functions.domain import study_document
from functions.flow.delivering import Delivering
from functions.flow.originals import Originals
from functions.flow.rejecting import Rejecting
from functions.messages import process
from functions.settings import DeliverSettings, from_environment
from functions.telemetry import traced

logger = logging.getLogger(__name__)

ANSWERS_WITHIN = 20  # seconds


@functools.cache
def _delivering() -> Delivering:
    settings = from_environment(DeliverSettings, os.environ)
    dynamodb, s3 = wiring.client("dynamodb", ANSWERS_WITHIN), wiring.client("s3", ANSWERS_WITHIN)
    hidden = settings.hidden_keys_table
    studies = Studies(dynamodb, settings.studies_table, settings.results_kept_days)
    deliveries = Deliveries(dynamodb, settings.studies_table, settings.results_kept_days)
    results = Documents(s3, settings.results_bucket, study_document.MOST_BYTES)
    return Delivering(
        studies=studies,
        index=Index(dynamodb, settings.index_table),
        deliveries=deliveries,
        results=results,
        originals=Originals(
            uploads=Uploads(s3, settings.uploads_bucket, "", settings.data_key_arn),
            keys=HiddenKeys(dynamodb, hidden) if hidden else None,
        ),
        rejecting=Rejecting(
            studies=studies,
            deliveries=deliveries,
            champions=Champions(dynamodb, settings.batches_table),
            results=results,
        ),
        announcements=Announcements(
            wiring.client("events", ANSWERS_WITHIN), settings.service_name, settings.results_bucket
        ),
        stage=Stage(
            identity=settings.results_bucket,
            manufacturer=settings.dicom_manufacturer,
            software=settings.software,
            series_number_base=settings.series_number_base,
            codes=codes_of(settings.label_codes),
        ),
        kinds=tuple(Kind(one) for one in settings.dicom_results),
        clock=wiring.now,
    )


@traced
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Deliver each revision."""
    delivering = _delivering()

    def deliver(body: str) -> None:
        delivery = delivering.deliver(announced(body))
        logger.info(
            "delivered",
            extra={
                "revision": delivery.revision if delivery else None,
                "kinds": list(delivery.keys) if delivery else [],
                "code": delivery.code if delivery else "NoSuchRevision",
                "notes": list(delivery.notes) if delivery else [],
                "undrawn": dict(delivery.undrawn) if delivery else {},
            },
        )

    return process(event, deliver)
