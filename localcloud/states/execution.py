"""The execution that a thread works for: its role's session, and how it is told to end."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

from localcloud.sagemaker.roles import RoleSession

_STOP_SECONDS = 10.0


class ExecutionEnded(BaseException):
    """The execution was stopped, timed out, or the cloud goes down: its thread has nothing left to do.

    It is no Exception, so that neither Retry nor Catch sees it.
    """


class Execution:
    """A running execution: the emulator's record of it, and the session of the state machine's role."""

    def __init__(self, record: dict[str, Any], session: RoleSession):
        self.record = record
        self.session = session
        self.abandoned = False
        """Whether it ended because the cloud goes down, which ends the jobs as well."""
        self._ended = threading.Event()

    def end(self, *, abandoned: bool = False) -> None:
        """Tell the threads of this execution that it has ended."""
        self.abandoned = abandoned
        self._ended.set()

    def pause(self, seconds: float) -> None:
        """Wait; raise ExecutionEnded as soon as the execution has ended."""
        if self._ended.wait(max(0.0, seconds)):
            raise ExecutionEnded

    def check(self) -> None:
        """Raise ExecutionEnded once the execution has ended."""
        self.pause(0)


class TaskLimit:
    """The TimeoutSeconds of a task, as its two threads see it: one waits for the task, the other runs it."""

    def __init__(self) -> None:
        self.overdue = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    @contextlib.contextmanager
    def in_charge_of_a_job(self) -> Iterator[None]:
        """While this context lasts there is a job to be stopped before the execution goes on."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def end(self) -> None:
        """The task is over, or out of time; wait a little until its job has been told to stop."""
        self.overdue.set()
        self._idle.wait(_STOP_SECONDS)


_current: contextvars.ContextVar[Execution | None] = contextvars.ContextVar("the running execution", default=None)
_limit: contextvars.ContextVar[TaskLimit | None] = contextvars.ContextVar("the task's limit", default=None)


def current() -> Execution | None:
    """The execution that this thread works for; None outside of any."""
    return _current.get()


def current_limit() -> TaskLimit:
    """The limit of the task that this thread runs; one that never comes for a task without."""
    return _limit.get() or TaskLimit()


@contextlib.contextmanager
def working_for(execution: Execution) -> Iterator[None]:
    """While this context lasts, this thread works for `execution`; a thread with a copy of it does, too."""
    token = _current.set(execution)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def task_with_a_limit() -> Iterator[None]:
    """While this context lasts, a task with a limit runs; at its end the limit has come."""
    limit = TaskLimit()
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)
        limit.end()
