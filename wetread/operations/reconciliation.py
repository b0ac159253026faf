"""Compares the uploads bucket with the index: which object versions have no row, or one that nothing moves.

A dead letter is kept for fourteen days, and an event may be lost; the object is still there. It is sent again as the
event that S3 would send, so that it is taken in like any other, once: an upload with a row changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.domain import layout
from functions.domain.row import Status, moment_of, timestamp
from wetread.connection import Connection
from wetread.problems import Problem

STILL_ARRIVING = timedelta(minutes=15)  # longer than an upload may lack a row, or be Received without a retry
SQS_ENTRIES = 10  # of one SendMessageBatch


@dataclass(frozen=True)
class Lost:
    """One object version without a row; ``time`` is when it arrived, as rows hold it."""

    key: str
    version_id: str
    size: int
    time: str


class Reconciliation:
    """One pass over the bucket.

    ``looked_at`` and ``lost`` count object versions so far, ``too_young`` those that may still get their row.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._before = now - STILL_ARRIVING
        self.looked_at = 0
        self.lost = 0
        self.too_young = 0

    def pages(self) -> Iterator[list[Lost]]:
        """Yield the lost versions, one list for each page of the bucket's listing."""
        bucket = self._connection.deployment.uploads_bucket_name
        for page in self._connection.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            listed = [one for one in page.get("Versions", []) if not layout.is_folder(one["Key"], one["Size"])]
            versions = [
                Lost(one["Key"], one["VersionId"], one["Size"], timestamp(one["LastModified"]))
                for one in listed
                if one["LastModified"] < self._before
            ]
            self.too_young += len(listed) - len(versions)
            lost = self._without_row(versions)
            self.looked_at += len(versions)
            self.lost += len(lost)
            yield lost

    def send(self, lost: Sequence[Lost]) -> None:
        """Send versions to the service again; raises Problem for messages that the queue refuses."""
        deployment, sqs = self._connection.deployment, self._connection.sqs
        for start in range(0, len(lost), SQS_ENTRIES):
            answer = sqs.send_message_batch(
                QueueUrl=deployment.uploads_queue_url,
                Entries=[
                    {"Id": str(number), "MessageBody": event_of(deployment.uploads_bucket_name, one)}
                    for number, one in enumerate(lost[start : start + SQS_ENTRIES])
                ],
            )
            if answer.get("Failed"):
                code = answer["Failed"][0].get("Code", "")
                raise Problem(f"The queue took only some of the messages ({code}).", "Run the command again.")

    def _without_row(self, versions: Sequence[Lost]) -> list[Lost]:
        ids = {one: layout.upload_id(one.key, one.version_id) for one in versions}
        rows = self._connection.index.get_many(ids.values())
        moving = {
            upload_id
            for upload_id, row in rows.items()
            if not row.awaits_ingest or (row.status == Status.RECEIVED and moment_of(row.updated_at) >= self._before)
        }
        return [one for one in versions if ids[one] not in moving]


def event_of(bucket: str, lost: Lost) -> str:
    """Return the message of an S3 "Object Created" event for the version."""
    s3_object = {"key": lost.key, "size": lost.size, "version-id": lost.version_id}
    return json.dumps({"time": lost.time, "detail": {"bucket": {"name": bucket}, "object": s3_object}})
