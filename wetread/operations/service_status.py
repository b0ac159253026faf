"""The state of the service: uploads by status, the longest wait, slots, runs, champion, dead letters, the endpoint."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.batches import day_of
from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.batch import Batch, BatchStatus
from functions.domain.champion import Champion
from functions.domain.lane import Lane
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.names import IndexName
from wetread.connection import Connection
from wetread.models import endpoint as endpoints
from wetread.models.endpoint import Endpoint
from wetread.problems import FORBIDDEN
from wetread.training.runs import Run

COUNT_BOUND = 10_000
"""Counting reads every row, so it stops at this number of rows of one status."""

LONG_READY_SECONDS = 30
"""A batch that is ready gets its job within a second or so, unless SageMaker has no room for it."""

OLDEST = 100
"""How many pending rows are read for the longest wait: a requeued row arrived before it began to wait."""


@dataclass(frozen=True)
class Count:
    """A number of rows, exact unless ``bounded``: then there may be more."""

    number: int
    bounded: bool

    def __str__(self) -> str:
        return f"{self.number:,}+" if self.bounded else f"{self.number:,}"


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """A service at one moment. ``slots`` holds None for a free one; ``dead_letters`` counts by queue name.

    ``oldest_received`` is the row of the oldest upload that ingest has not yet been able to take in, and tries again.
    ``training`` are the runs of the training workflow that have not ended; ``endpoint`` is None if no endpoint exists.
    ``open_studies`` await more, the oldest of them since ``oldest_study``.
    ``jobs_today`` were started since midnight UTC, of ``max_jobs_per_day``; ``runs_today`` of the express lane, of
    ``express_per_day``, which is 0 without such a lane. ``undelivered`` events were not taken by the webhook; None
    where they may not be counted, and in a stage without ``webhook``.
    """

    uploads: Mapping[Status, Count]
    oldest_pending: str | None
    oldest_received: Row | None
    slots: tuple[Batch | None, ...]
    jobs_today: int
    max_jobs_per_day: int
    runs_today: int
    express_per_day: int
    job_name_prefix: str
    champion: Champion | None
    training: tuple[Run, ...]
    dead_letters: Mapping[str, int]
    webhook: bool
    undelivered: int | None
    endpoint: Endpoint | None
    open_studies: Count
    oldest_study: str | None

    def job_name(self, batch: Batch) -> str:
        """Return the name of a batch's transform job or run."""
        return layout.job_name(self.job_name_prefix, batch.batch_id)

    def without_host(self, now: datetime) -> list[Batch]:
        """Return the batches for which SageMaker has had no room: ready for long, and still without a job."""
        ready = [one for one in self.slots if one and one.status == BatchStatus.READY and one.lane == Lane.TRANSFORM]
        return [one for one in ready if (now - moment_of(one.created_at)).total_seconds() > LONG_READY_SECONDS]

    def to_json(self, now: datetime) -> dict[str, Any]:
        """Return the status for programs, under AWS-style names."""
        received = self.oldest_received.received_at if self.oldest_received else None
        champion = self.champion
        return {
            "Uploads": {status: {"Count": one.number, "Bounded": one.bounded} for status, one in self.uploads.items()},
            "OldestPendingSeconds": _seconds_since(self.oldest_pending, now),
            "OldestReceivedSeconds": _seconds_since(received, now),
            "Slots": [_slot(number, batch, self) for number, batch in enumerate(self.slots)],
            "JobsToday": {"Count": self.jobs_today, "Most": self.max_jobs_per_day},
            "RunsToday": {"Count": self.runs_today, "Most": self.express_per_day} if self.express_per_day else None,
            "Champion": champion
            and {
                "ModelPackage": champion.model_package,
                "ModelName": champion.model_name,
                "ArtifactSHA256": champion.artifact_sha256,
                "PromotedAt": champion.promoted_at,
                "Previous": champion.previous or None,
            },
            "TrainingRuns": [run.to_json() for run in self.training],
            "DeadLetters": dict(self.dead_letters),
            "WebhookDeadLetters": self.undelivered,
            "Endpoint": self.endpoint.to_json() if self.endpoint else None,
            "OpenStudies": {
                "Count": self.open_studies.number,
                "Bounded": self.open_studies.bounded,
                "OldestSeconds": _seconds_since(self.oldest_study, now),
            },
        }


def read_status(connection: Connection, now: datetime) -> ServiceStatus:
    """Read the tables and the dead-letter queues."""
    deployment = connection.deployment
    holders = connection.batches.holders()
    oldest = connection.index.oldest(IndexName.BY_STATUS, Status.PENDING, OLDEST)
    opened = list(itertools.islice(connection.studies.open(), COUNT_BOUND))
    received = connection.index.oldest(IndexName.BY_STATUS, Status.RECEIVED, 1)
    today = day_of(timestamp(now))
    return ServiceStatus(
        uploads={status: _count(connection, status) for status in Status},
        oldest_pending=min((row.waits_since for row in oldest), default=None),
        oldest_received=received[0] if received else None,
        slots=tuple(
            connection.batches.get(holders[number]) if number in holders else None
            for number in range(max([deployment.slots, *(held + 1 for held in holders)]))
        ),
        jobs_today=connection.batches.jobs_on(today),
        max_jobs_per_day=deployment.max_jobs_per_day,
        runs_today=connection.batches.runs_on(today) if deployment.express_per_day else 0,
        express_per_day=deployment.express_per_day,
        job_name_prefix=deployment.job_name_prefix,
        champion=connection.registry.champion(),
        training=tuple(connection.runs.running()),
        dead_letters=dead_letters(connection),
        webhook=bool(deployment.webhook_dead_letters_url),
        undelivered=_undelivered(connection),
        endpoint=endpoints.find(connection),
        open_studies=Count(len(opened), bounded=len(opened) == COUNT_BOUND),
        oldest_study=min((one.opened_at for one in opened if one.opened_at), default=None),
    )


def dead_letters(connection: Connection) -> dict[str, int]:
    """Return the approximate number of messages in each dead-letter queue, by queue name."""
    return {url.rsplit("/", 1)[-1]: _messages(connection, url) for url in connection.deployment.dead_letter_queue_urls}


def _undelivered(connection: Connection) -> int | None:
    """Return how many events the webhook did not take; None without one, or if that may not be asked."""
    if not (url := connection.deployment.webhook_dead_letters_url):
        return None
    try:
        return _messages(connection, url)
    except ClientError as error:
        if error_code(error) not in FORBIDDEN:
            raise
        return None


def _messages(connection: Connection, url: str) -> int:
    answer = connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _seconds_since(moment: str | None, now: datetime) -> float | None:
    return (now - moment_of(moment)).total_seconds() if moment else None


def _slot(number: int, batch: Batch | None, service: ServiceStatus) -> dict[str, Any]:
    if batch is None:
        return {"Slot": number, "BatchId": None}
    return {
        "Slot": number,
        "BatchId": batch.batch_id,
        "BatchStatus": batch.status,
        "Lane": batch.lane,
        "TransformJobName": service.job_name(batch),
        "ModelPackage": batch.model_package,
        "CreatedAt": batch.created_at,
    }


def _count(connection: Connection, status: Status) -> Count:
    number = connection.index.count(IndexName.BY_STATUS, status, at_most=COUNT_BOUND)
    return Count(min(number, COUNT_BOUND), bounded=number > COUNT_BOUND)
