"""The execution that a thread works for: its role's session, and its end."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

from localcloud.sagemaker.roles import RoleSession

_STOP_SECONDS = 10.0


class ExecutionEnded(BaseException):
    """The execution was stopped or timed out, or the cloud goes down: its thread must end.

    It is not an Exception, so that neither Retry nor Catch sees it.
    """


class Execution:
    """A running execution: the emulator's record of it, and the session of the state machine's role."""

    def __init__(self, record: dict[str, Any], session: RoleSession):
        self.record = record
        self.session = session
        self.abandoned = False
        """Whether it ended because the cloud goes down, which also ends its jobs."""
        self._ended = threading.Event()

    def end(self, *, abandoned: bool = False) -> None:
        """End the threads of this execution, each at its next pause."""
        self.abandoned = abandoned
        self._ended.set()

    def pause(self, seconds: float) -> None:
        """Wait `seconds`; raise ExecutionEnded as soon as the execution has ended."""
        if self._ended.wait(max(0.0, seconds)):
            raise ExecutionEnded

    def check(self) -> None:
        """Raise ExecutionEnded if the execution has ended."""
        self.pause(0)


class TaskLimit:
    """The TimeoutSeconds of a task, shared by its two threads: one waits for the task, the other runs it."""

    def __init__(self) -> None:
        self.overdue = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    @contextlib.contextmanager
    def in_charge_of_a_job(self) -> Iterator[None]:
        """Mark that a job runs, which must be stopped before the execution continues, while this context lasts."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def end(self) -> None:
        """Mark the task as ended or out of time, and wait up to 10 seconds until its job has been stopped."""
        self.overdue.set()
        self._idle.wait(_STOP_SECONDS)


_current: contextvars.ContextVar[Execution | None] = contextvars.ContextVar("the running execution", default=None)
_limit: contextvars.ContextVar[TaskLimit | None] = contextvars.ContextVar("the task's limit", default=None)


def current() -> Execution | None:
    """Return the execution that this thread works for; None if it works for none."""
    return _current.get()


def current_limit() -> TaskLimit:
    """Return the limit of the task that this thread runs; for a task without a limit, one that is never reached."""
    return _limit.get() or TaskLimit()


@contextlib.contextmanager
def working_for(execution: Execution) -> Iterator[None]:
    """Make this thread, and threads with a copy of its context, work for `execution` while this context lasts."""
    token = _current.set(execution)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def task_with_a_limit() -> Iterator[None]:
    """Run a task with a limit while this context lasts; at its end the limit is reached."""
    limit = TaskLimit()
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)
        limit.end()
