"""Runs of the express lane: invoke the function once per batch, describe the run, call it off before it begins.

A run is one invocation that wrote ``begun.json``, which S3 takes once. Any other invocation of the batch finds it and
does nothing, however late it comes. So a name is one run, as a name is one transform job.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.jobs import MOST_REASON, Creation, Jobs, JobStatus, TransformJob
from functions.aws.objects import Documents
from functions.aws.trouble import name_of
from functions.domain import layout
from functions.domain.batch import Batch
from functions.domain.errors import MalformedDocument
from functions.domain.lane import END_SECONDS, RUN_SECONDS, START_SECONDS, Lane
from functions.domain.row import moment_of, timestamp

logger = logging.getLogger(__name__)

# Lambda's errors while the account has no room: the batch waits in its slot for minutes, and the sweep tries again.
NO_ROOM = frozenset({"TooManyRequestsException", "ThrottlingException", "ServiceException"})
# Lambda's errors for a function that is not there, or that never starts as it is.
REFUSED = frozenset({"ResourceNotFoundException", "InvalidParameterValueException", "InvalidRequestContentException"})
CALLED_OFF = "CalledOff"  # in place of an invocation: none may begin


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of one stage. ``function`` is the name of the function, "" where the stage has no express lane."""

    client: Any
    work: Documents
    function: str
    clock: Callable[[], datetime]

    def create(self, name: str, batch: Batch, artifact_uri: str) -> Creation:
        """Invoke the function for a batch, or find that its run has begun, or was called off.

        A batch that Lambda has not taken for as long as an order may wait for an environment is called off, whatever
        the error is: a transform job can read its uploads.
        """
        if self.describe(name) is not None:
            return Creation.STARTED
        if not self.function:
            return self.call_off(name)
        order = self._order(name, batch, artifact_uri)
        try:
            self.client.invoke(FunctionName=self.function, InvocationType="Event", Payload=json.dumps(order).encode())
        except (ClientError, BotoCoreError) as error:
            code = name_of(error)
            if code in REFUSED or self._waited(batch) >= START_SECONDS:
                logger.error("run refused", extra={"run": name, "reason": code})
                return self.call_off(name)
            if code not in NO_ROOM:
                raise
            logger.warning("no room for a run", extra={"run": name, "reason": code})
            return Creation.NO_ROOM
        return Creation.STARTED

    def _waited(self, batch: Batch) -> float:
        return (self.clock() - moment_of(batch.created_at)).total_seconds()

    def describe(self, name: str) -> TransformJob | None:
        """Return the run as it is now, in the words of a transform job; None if it has not begun.

        A run without an end is over when Lambda has ended it for certain: what it has answered by then counts. Times
        are S3's: the clock of a function may be wrong.
        """
        begun_key, ended_key = layout.run_begun_key(name), layout.run_ended_key(name)
        begun = self._read(begun_key)
        if begun is None:
            return None
        ended = self._read(ended_key)
        if ended is not None:
            done = ended.get("Status") == JobStatus.COMPLETED
            status = JobStatus.COMPLETED if done else JobStatus.FAILED
            return self._job(name, status, str(ended.get("Reason", "")), self.work.written_at(ended_key))
        began = self.work.written_at(begun_key)
        if begun.get("Invocation") == CALLED_OFF:
            return self._job(name, JobStatus.FAILED, "It was called off: no invocation began.", began)
        last = began + timedelta(seconds=RUN_SECONDS + END_SECONDS)
        if self.clock() < last:
            return self._job(name, JobStatus.IN_PROGRESS, "", None)
        return self._job(name, JobStatus.FAILED, "It did not end within Lambda's time limit.", last)

    def call_off(self, name: str) -> Creation:
        """Make sure that no invocation begins from now on; return REFUSED if none has, STARTED if one had."""
        marker = {"Invocation": CALLED_OFF, "At": timestamp(self.clock())}
        if self.work.write_once(layout.run_begun_key(name), marker):
            return Creation.REFUSED
        begun = self._read(layout.run_begun_key(name))
        return Creation.REFUSED if begun and begun.get("Invocation") == CALLED_OFF else Creation.STARTED

    def lost(self, name: str, invocation: str) -> None:
        """Note that Lambda has given an invocation up: its process is gone, or it never got one.

        If that was the run, the run is over. If no run has begun, none will. ``invocation`` is Lambda's id of it: an
        order may come twice, and the other invocation may be the run.
        """
        self.call_off(name)
        begun = self._read(layout.run_begun_key(name))
        if begun and begun.get("Invocation") == invocation:
            end = {"Status": JobStatus.FAILED, "Reason": "Its process ended.", "At": timestamp(self.clock())}
            self.work.write_once(layout.run_ended_key(name), end)

    def _read(self, key: str) -> dict[str, Any] | None:
        """Return a record of a run, None if it does not exist, {} if it says nothing: that it is there counts."""
        try:
            body = self.work.find(key)
            if body is None:
                return None
            record = json.loads(body)
        except (MalformedDocument, ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            return record
        logger.error("record of a run is not a JSON object", extra={"key": key})
        return {}

    def _job(self, name: str, status: JobStatus, reason: str, ended_at: datetime | None) -> TransformJob:
        return TransformJob(
            name=name, status=status, failure_reason=reason[:MOST_REASON], manifest_uri="", ended_at=ended_at
        )

    def _order(self, name: str, batch: Batch, artifact_uri: str) -> dict[str, str]:
        """Return what the function must know: it knows no layout, and its role bounds what it can touch."""
        return {
            "Job": name,
            "Bucket": self.work.bucket,
            "Manifest": layout.manifest_key(batch.batch_id),
            "Begun": layout.run_begun_key(name),
            "Ended": layout.run_ended_key(name),
            "Outputs": layout.output_prefix(name),
            "Artifact": artifact_uri,
            "ArtifactSHA256": batch.artifact_sha256,
        }


def describe(batch: Batch, name: str, jobs: Jobs, runs: Runs) -> TransformJob | None:
    """Return the job or the run of a batch as it is now; None if it has none, or its run has not begun."""
    return runs.describe(name) if batch.lane == Lane.EXPRESS else jobs.describe(name)
