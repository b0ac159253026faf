"""Stories of the way from upload to result: ingest, dispatch, the transform job, collect, and the sweep alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from assurance.least_privilege.stage import Place
from assurance.least_privilege.story import Seen
from functions.domain.row import Status
from tests.infra.needs import Statement

QUEUES = ("IntakeUploads", "IntakeRetry", "BatchTick", "BatchJobEvents")
FOR_THE_NEXT = (("BatchCollect", "sqs:SendMessage"), ("BatchCollect", "s3:DeleteObject"))
"""Role and action of what is done when an upload has its row, for the sake of those that wait."""
STILL_SECONDS = 3.0
"""After a function has failed: if anything else went on with its upload, its row would tell by then."""
SWEEP_SECONDS = 1.0


class Upload:
    """An object is put, and its row is Completed: unless a function fails, ``role``'s or who starts jobs with it."""

    def __init__(self, place: Place, role: str, blamed: str = "") -> None:
        self._place = place
        self._role = role
        self._blamed = blamed or role

    @contextmanager
    def ready(self) -> Iterator[None]:
        """One upload is read before, so that nothing else is amiss."""
        self._place.put()
        finish(self._place)
        yield

    def tell(self, statement: Statement) -> Seen:
        """Until a function has failed, or a job: both are tried again, and fail again."""
        if (self._role, *statement.actions) in FOR_THE_NEXT:
            return self._tell_what_waits()
        began, upload = time.time(), self._place.put()
        failure = self._place.until(lambda: self._failure(began, upload) or _completed(self._place, upload))
        return self._still(upload, failure)

    def mend(self) -> None:
        """Messages come again; the sweep goes on with what was left half-made."""
        finish(self._place)
        self._place.until(lambda: not any(map(self._place.unheard, QUEUES)))

    def _tell_what_waits(self) -> Seen:
        """An upload that comes while the only slot is taken waits for whoever frees it, and for his tick."""
        place = self._place
        with place.paused("BatchJobEvents"):
            first = place.put()
            place.until(lambda: place.standing(first) == Status.BATCHED)
            second = place.put()
            place.until(lambda: place.row(second) and not place.unheard("BatchTick"))
            began = time.time()
        failure = place.until(lambda: place.error(self._role, began) or _completed(place, second))
        return self._still(second, failure)

    def _failure(self, began: float, upload: str) -> str:
        row = self._place.row(upload)
        if row and row.attempt and row.status != Status.RECEIVED:
            return "the transform job failed"
        return self._place.error(self._blamed, began)

    def _still(self, upload: str, failure: str) -> Seen:
        if failure == Status.COMPLETED:
            return Seen(False, failure)
        time.sleep(STILL_SECONDS)
        standing = self._place.standing(upload)
        return Seen(standing != Status.COMPLETED, f"{failure}; the upload: {standing}")


class Sweep:
    """Nobody hears of uploads and of jobs but the sweep."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Dispatch and collect get no messages."""
        with self._place.paused("BatchTick", "BatchJobEvents"):
            yield

    def tell(self, _statement: Statement) -> Seen:
        """Sweep until a sweep ends with an error, by which its alarm rises, or the upload is Completed."""
        place, upload = self._place, self._place.put()
        place.until(lambda: place.row(upload))
        failure = place.until(lambda: place.sweep() or _completed(place, upload))
        if failure == Status.COMPLETED:
            return Seen(False, failure)
        return Seen(True, f"{failure}; the upload: {place.standing(upload)}")

    def mend(self) -> None:
        """Sweep on."""
        finish(self._place)


def finish(place: Place) -> None:
    """Sweep until every upload that was ever made is Completed and every slot is free."""

    def done() -> bool:
        rows = place.rows(place.uploads).values()
        completed = [row for row in rows if row.status == Status.COMPLETED]
        if len(completed) == len(place.uploads) and not place.connection.batches.holders():
            return True
        place.sweep()
        time.sleep(SWEEP_SECONDS)
        return False

    place.until(done)


def _completed(place: Place, upload: str) -> str:
    return str(Status.COMPLETED) if place.standing(upload) == Status.COMPLETED else ""
