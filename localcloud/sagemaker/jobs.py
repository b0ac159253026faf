"""The life cycle of jobs: created once for each name, run on a thread, stopped, ended, and announced by events."""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import ServiceError, invalid, not_found
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.store import Record, Store, resource_arn

_log = logging.getLogger(__name__)
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
_RUNNING = frozenset({"InProgress", "Stopping"})


class JobFailed(Exception):
    """The job ends as Failed; the message is its FailureReason."""


class JobStopped(Exception):
    """The job ends as Stopped."""


@dataclass(frozen=True)
class JobKind:
    """What differs between kinds of jobs in the API: names such as `TransformJob` and `transform-job`, and members."""

    noun: str
    resource: str
    detail_type: str
    start_member: str
    end_member: str


class Job:
    """A running job: its record, and the means to stop what runs for it."""

    def __init__(self, record: Record):
        self.record = record
        self.cancelled = threading.Event()
        self._stop: Callable[[], object] | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def stopped_by(self, stop: Callable[[], object]) -> Iterator[None]:
        """Let a job that is cancelled call `stop`, which must end what the job waits for, while this context lasts."""
        with self._lock:
            self._stop = stop
        self.check()
        try:
            yield
        finally:
            with self._lock:
                self._stop = None

    def check(self) -> None:
        """Raise JobStopped if the job is cancelled."""
        if self.cancelled.is_set():
            raise JobStopped

    def cancel(self) -> None:
        """Mark the job as cancelled, and stop what runs for it."""
        self.cancelled.set()
        with self._lock:
            stop = self._stop
        if stop is not None:
            stop()


class Jobs:
    """All jobs of one kind. A name is never free again, since jobs cannot be deleted."""

    def __init__(
        self, kind: JobKind, records: Callable[[], dict[str, Record]], store: Store, events: Events, startup: float
    ):
        """Use the store's `records` of this kind; wait `startup` seconds before a job runs."""
        self.kind = kind
        self._records = records
        self._store = store
        self._events = events
        self._startup = startup
        self._active: dict[str, Job] = {}
        self._closing = False

    def check_name(self, name: str) -> None:
        """Raise ResourceInUse for a name that a job has or had."""
        if name in self._records():
            raise ServiceError(
                "ResourceInUse",
                "Job name must be unique within an AWS account and region, and a job with this name already exists "
                f"({self.arn(name)})",
            )

    def start(
        self,
        request: Record,
        run: Callable[[Job], None],
        admit: Callable[[], None],
        members: Record | None = None,
    ) -> Record:
        """Record a new job, run it on a thread, and return the answer of Create.

        `admit` raises if there is no room for the job; no other job can start between the call and the record.
        """
        noun = self.kind.noun
        name, arn = request[f"{noun}Name"], self.arn(request[f"{noun}Name"])
        record = {
            **copy.deepcopy({key: value for key, value in request.items() if key != "Tags"}),
            f"{noun}Arn": arn,
            f"{noun}Status": "InProgress",
            "CreationTime": time.time(),
            **(members or {}),
        }
        job = Job(record)
        with self._store.lock:
            self.check_name(name)
            admit()
            self._records()[name] = record
            self._active[name] = job
            self._store.tag(arn, request.get("Tags", []))
        self._announce(record)
        threading.Thread(target=self._work, args=(job, run), name=f"{self.kind.resource}-{name}", daemon=True).start()
        return {f"{noun}Arn": arn}

    def describe(self, name: str) -> Record:
        """Return a copy of a job's record; raise ResourceNotFound."""
        with self._store.lock:
            return copy.deepcopy(self._record(name))

    def all(self) -> list[Record]:
        """Return the records of all jobs."""
        with self._store.lock:
            return list(self._records().values())

    def stop(self, name: str) -> None:
        """Begin to stop a running job; raise a ValidationException if it is not running."""
        with self._store.lock:
            record = self._record(name)
            status = record[f"{self.kind.noun}Status"]
            if status != "InProgress":
                raise invalid(f"The request was rejected because the job is in status {status}.")
            record[f"{self.kind.noun}Status"] = "Stopping"
        self._announce(record)
        job = self._active.get(name)
        if job is not None:
            threading.Thread(target=job.cancel, name=f"stop-{name}", daemon=True).start()

    def fail_interrupted(self) -> None:
        """After a restart, fail the jobs that were running when the launcher ended."""
        for record in self.all():
            if record[f"{self.kind.noun}Status"] in _RUNNING:
                self._finish(record, "Failed", INTERNAL_ERROR)

    def close(self) -> None:
        """Cancel all jobs without changing a record: the next start fails them. The reaper ends their containers."""
        self._closing = True
        for job in list(self._active.values()):
            job.cancelled.set()

    def arn(self, name: str) -> str:
        """Return the ARN of a job."""
        return resource_arn(self.kind.resource, name)

    def update(self, record: Record, **members: Any) -> None:
        """Change members of a record."""
        with self._store.lock:
            record.update(members)
        self._store.changed()

    def _record(self, name: str) -> Record:
        record = self._records().get(name)
        if record is None:
            raise not_found()
        return record

    def _work(self, job: Job, run: Callable[[Job], None]) -> None:
        reason = None
        try:
            if job.cancelled.wait(self._startup):
                raise JobStopped
            self.update(job.record, **{self.kind.start_member: time.time()})
            run(job)
            status = "Completed"
        except JobStopped:
            status = "Stopped"
        except (JobFailed, ServiceError) as error:
            status, reason = "Failed", str(error)
        except Exception:
            _log.exception("%s failed inside the local SageMaker", job.record[f"{self.kind.noun}Arn"])
            status, reason = "Failed", INTERNAL_ERROR
        if self._closing:
            return
        if job.cancelled.is_set():
            status, reason = "Stopped", None
        self._active.pop(job.record[f"{self.kind.noun}Name"], None)
        self._finish(job.record, status, reason)

    def _finish(self, record: Record, status: str, reason: str | None) -> None:
        members: Record = {f"{self.kind.noun}Status": status, self.kind.end_member: time.time()}
        if reason is not None:
            members["FailureReason"] = reason[:1024]
        self.update(record, **members)
        self._announce(record)

    def _announce(self, record: Record) -> None:
        with self._store.lock:
            arn = record[f"{self.kind.noun}Arn"]
            detail = {**copy.deepcopy(record), "Tags": dict(self._store.tags.get(arn, {}))}
        self._events.send(self.kind.detail_type, arn, detail)
