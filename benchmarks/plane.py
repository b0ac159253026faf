"""The four functions of the serving path over an AWS in memory, driven through their handlers, with a meter between."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace
from typing import Any

os.environ |= {"POWERTOOLS_SERVICE_NAME": "wetread", "POWERTOOLS_LOG_LEVEL": "INFO"}

from benchmarks.metering import metered
from functions import collect, dispatch, ingest, sweep
from functions.domain.row import Status
from functions.telemetry import logger
from infra.ingest import BATCH_SIZE
from tests.fakes.dicom import ct
from tests.fakes.world import PATIENCE, UPLOADS, World, answer

SQS_BATCH = BATCH_SIZE  # messages of one invocation of ingest
SLICES_PER_STUDY = 100


class Plane:
    """A world with the functions' own handlers and a meter."""

    def __init__(self, uploads: int, slices: int = SLICES_PER_STUDY) -> None:
        """Make ``uploads`` of studies with so many ``slices``."""
        self._slices = slices
        self.world = world = World(slots=4, max_batch=uploads, parallel_threshold=uploads, worst_seconds=math.inf)
        self.meter = metered(world)
        self.events = [self._event(number) for number in range(uploads)]
        world.set_champion()
        ingest._parts = lambda: (world.ingesting, world.ticks)  # type: ignore[assignment]
        collect._parts = lambda: (world.collecting, world.ticks)  # type: ignore[assignment]
        dispatch._dispatching = lambda: world.dispatching  # type: ignore[assignment]
        sweep._sweeping = lambda: world.sweeping  # type: ignore[assignment]

    def _event(self, number: int) -> dict[str, Any]:
        """Return an upload with identifiers as long as real ones, as SQS brings its event."""
        root = "1.3.6.1.4.1.14519.5.2.1.7009.2403.3342379871"
        study, slice_number = divmod(number, self._slices)
        body = ct(
            StudyInstanceUID=f"{root}{10**18 + study}",
            SeriesInstanceUID=f"{root}{2 * 10**18 + study}",
            SOPInstanceUID=f"{root}{3 * 10**18 + number}",
            PatientID=f"P-{study:06d}",
        )
        key = f"export/2026-11-25/study-{study:06d}/series-1/slice-{slice_number:04d}.dcm"
        upload = self.world.upload(key, body, f"{number:032x}")
        detail = {
            "bucket": {"name": UPLOADS},
            "object": {"key": key, "size": upload.size, "version-id": upload.version_id, "sequencer": f"{number:018X}"},
        }
        body_of_message = {"time": "2026-11-25T00:00:00Z", "detail-type": "Object Created", "detail": detail}
        return {"messageId": str(number), "body": json.dumps(body_of_message)}

    def ingest(self) -> None:
        """Every upload, in full batches."""
        for start in range(0, len(self.events), SQS_BATCH):
            response = ingest.handler({"Records": self.events[start : start + SQS_BATCH]}, None)
            assert response == {"batchItemFailures": []}

    def dispatch(self) -> None:
        """Everything as one job."""
        dispatch.handler({}, SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000))

    def end_job(self) -> str:
        """End the one job with an output for each upload; return its name."""
        (name,) = self.world.sagemaker.jobs
        self.world.sagemaker.end(name, answer)
        return name

    def sweep(self) -> None:
        """The minute's sweep."""
        sweep.handler({}, None)

    def close_studies(self, shards: Collection[int] | None = None) -> int:
        """Close every study, of all or of some shards, which is quiet by now; return how many."""
        concluded = self.world.concluding.run(shards)
        assert not concluded.failures
        return concluded.revisions

    def read(self) -> None:
        """Every upload, from its event to its answer; then its study is quiet."""
        self.ingest()
        self.dispatch()
        self.collect(self.end_job())
        self.check()
        self.world.wait(PATIENCE.study_quiet_seconds)

    def collect(self, name: str) -> None:
        """Collect the job."""
        body = json.dumps({"detail": {"TransformJobName": name}})
        assert collect.handler({"Records": [{"messageId": "1", "body": body}]}, None) == {"batchItemFailures": []}

    def check(self) -> None:
        """Every upload has its answer."""
        rows = self.world.rows()
        assert len(rows) == len(self.events)
        assert all(row.status == Status.COMPLETED for row in rows)


@contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keep the functions' log and metrics, which are their standard output in Lambda."""
    log = io.StringIO()
    stream = logger.handlers[0].setStream(log)  # type: ignore[attr-defined]
    with redirect_stdout(log):
        yield log
    logger.handlers[0].setStream(stream)  # type: ignore[attr-defined]
