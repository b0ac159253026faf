"""What the template gives ingest: its queue, and its function's bounds."""

from __future__ import annotations

from functions import ingest
from infra import ingest as deployed
from infra.queues import VISIBILITY_FACTOR
from tests.fakes.lambda_queue import Limits

DEPLOYED = Limits(
    batch_size=deployed.BATCH_SIZE,
    workers=ingest.WORKERS,
    seconds=deployed.TIMEOUT.to_seconds(),
    mebibytes=deployed.MEMORY,
    start_mebibytes=deployed.START_MIB,
    visibility=VISIBILITY_FACTOR * deployed.TIMEOUT.to_seconds(),
    retries=deployed.RETRIES,
)
WITHIN = deployed.ROW_WITHIN.to_seconds()
