"""Stories of the way from upload to result: ingest, dispatch, the transform job, collect, and the sweep alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from assurance.least_privilege.stage import RoleStage
from assurance.least_privilege.story import Seen
from functions.domain.lane import Lane, lane_of
from functions.domain.row import Status
from tests import express_lane
from tests.infra.needs import Statement

QUEUES = ("IntakeUploads", "IntakeRetry", "BatchTick", "BatchJobEvents")
FOR_THE_NEXT = (("BatchCollect", "sqs:SendMessage"), ("BatchCollect", "s3:DeleteObject"))
"""Role and action of work after an upload's result, for the uploads that wait."""
STILL_SECONDS = 3.0
"""Seconds after a function's failure: if anything else processed the upload, its row would show it by then."""
SWEEP_SECONDS = 1.0


class Upload:
    """Put an object; its row becomes Completed unless the function of ``role``, or ``blamed``, fails."""

    def __init__(self, stage: RoleStage, role: str, blamed: str = "") -> None:
        self._stage = stage
        self._role = role
        self._blamed = blamed or role

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Read one upload first, to show that all else works."""
        self._stage.put()
        finish(self._stage)
        yield

    def run(self, statement: Statement) -> Seen:
        """Run until a function or a job has failed: both are retried and fail again."""
        if (self._role, *statement.actions) in FOR_THE_NEXT:
            return self._run_with_waiting()
        with _lane(self._stage, on=_is_of_the_lane(statement)):
            return self._run_alone()

    def _run_alone(self) -> Seen:
        began, upload = time.time(), self._stage.put()
        failure = self._stage.until(lambda: self._failure(began, upload) or _completed(self._stage, upload))
        return self._still(upload, failure)

    def repair(self) -> None:
        """Wait for redelivered messages; the sweep completes interrupted work."""
        finish(self._stage)
        self._stage.until(lambda: not any(map(self._stage.unheard, QUEUES)))

    def _run_with_waiting(self) -> Seen:
        """Put an upload while the only slot is taken: it waits for the slot and for the tick that follows."""
        stage = self._stage
        with stage.paused("BatchJobEvents"):
            first = stage.put()
            stage.until(lambda: stage.status(first) == Status.BATCHED)
            second = stage.put()
            stage.until(lambda: stage.row(second) and not stage.unheard("BatchTick"))
            began = time.time()
        failure = stage.until(lambda: stage.error(self._role, began) or _completed(stage, second))
        return self._still(second, failure)

    def _failure(self, began: float, upload: str) -> str:
        row = self._stage.row(upload)
        if row and row.attempt and row.status != Status.RECEIVED:
            return "the transform job failed"
        return self._stage.error(self._blamed, began)

    def _still(self, upload: str, failure: str) -> Seen:
        if failure == Status.COMPLETED:
            return Seen(False, failure)
        time.sleep(STILL_SECONDS)
        standing = self._stage.status(upload)
        return Seen(standing != Status.COMPLETED, f"{failure}; the upload: {standing}")


class Run(Upload):
    """Put an object; its row becomes Completed in the express lane unless the function's run fails.

    Then a transform job reads it: the lane only adds answers.
    """

    def run(self, _statement: Statement) -> Seen:
        """Run until the upload is Completed, in whatever lane."""
        stage = self._stage
        with _lane(stage, on=True):
            upload = stage.put()
            stage.until(lambda: stage.row(upload) and _is_read(stage, upload))
        row = stage.row(upload)
        assert row
        return Seen(row.lane != Lane.EXPRESS, f"the upload: read in the lane {lane_of(row)}")


class Sweep:
    """Only the sweep learns of uploads and jobs."""

    def __init__(self, stage: RoleStage) -> None:
        self._stage = stage

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Stop the messages of dispatch and collect."""
        with self._stage.paused("BatchTick", "BatchJobEvents"):
            yield

    def run(self, statement: Statement) -> Seen:
        """Sweep until a sweep fails, which raises its alarm, or the upload is Completed."""
        with _lane(self._stage, on=_is_of_the_lane(statement)):
            stage, upload = self._stage, self._stage.put()
            stage.until(lambda: stage.row(upload))
            failure = stage.until(lambda: stage.sweep() or _completed(stage, upload))
        if failure == Status.COMPLETED:
            return Seen(False, failure)
        return Seen(True, f"{failure}; the upload: {stage.status(upload)}")

    def repair(self) -> None:
        """Sweep until all uploads are Completed."""
        finish(self._stage)


def finish(stage: RoleStage) -> None:
    """Sweep until every upload so far is Completed and every slot is free."""

    def done() -> bool:
        rows = stage.rows(stage.uploads).values()
        completed = [row for row in rows if row.status == Status.COMPLETED]
        if len(completed) == len(stage.uploads) and not stage.connection.batches.holders():
            return True
        stage.sweep()
        time.sleep(SWEEP_SECONDS)
        return False

    stage.until(done)


def _completed(stage: RoleStage, upload: str) -> str:
    return str(Status.COMPLETED) if stage.status(upload) == Status.COMPLETED else ""


def _is_read(stage: RoleStage, upload: str) -> str:
    """Sweep, since nothing else finds a run that could not report its end; return whether the upload is Completed."""
    stage.sweep()
    time.sleep(SWEEP_SECONDS)
    return _completed(stage, upload)


def _is_of_the_lane(statement: Statement) -> bool:
    return any("xpress" in resource for resource in statement.resources)


@contextmanager
def _lane(stage: RoleStage, *, on: bool) -> Iterator[None]:
    """Read in the express lane for the context, if ``on``."""
    express_lane.switch(stage.connection, on=on)
    try:
        yield
    finally:
        express_lane.switch(stage.connection, on=False)
