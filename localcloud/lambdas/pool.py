"""The execution environments of all functions: reused while warm, bounded for each function, stopped when idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from localcloud.lambdas.environment import Environment, Result
from localcloud.lambdas.function import FunctionVersion

_ABOVE_TIMEOUT_SECONDS = 30.0


class TooManyInvocations(Exception):
    """No environment of the function became free in time: it is throttled."""


class Pool:
    """At most `concurrency` environments for each function; further invocations wait for one."""

    def __init__(self, start: Callable[[FunctionVersion], Environment], *, concurrency: int, idle_seconds: float):
        """Environments are made by `start` and stopped after `idle_seconds` without an invocation."""
        self._start = start
        self._concurrency = concurrency
        self._idle_seconds = idle_seconds
        self._idle: dict[str, list[Environment]] = {}
        self._busy: dict[str, int] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._reap, name="lambda-idle", daemon=True).start()

    def invoke(self, function: FunctionVersion, request_id: str, payload: bytes) -> Result:
        """Run one event in a warm environment, or in a new one; raise TooManyInvocations when none becomes free."""
        environment = self._acquire(function)
        try:
            if environment is None:
                environment = self._start(function)
            return environment.invoke(request_id, payload)
        finally:
            self._release(function, environment)

    def stop(self) -> None:
        """Stop all idle environments; busy ones end with the launcher."""
        with self._changed:
            idle = [environment for environments in self._idle.values() for environment in environments]
            self._idle.clear()
        for environment in idle:
            environment.stop()

    def _acquire(self, function: FunctionVersion) -> Environment | None:
        """A warm environment, or None for the permission to start one."""
        patience = function.timeout + _ABOVE_TIMEOUT_SECONDS
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._busy.get(function.name, 0) < self._concurrency, timeout=patience
            ):
                raise TooManyInvocations(
                    f"Rate Exceeded: {function.name} had {self._concurrency} invocations in progress for {patience:g} s"
                )
            self._busy[function.name] = self._busy.get(function.name, 0) + 1
            idle = self._idle.get(function.name, [])
            warm = [
                environment for environment in idle if environment.function.key == function.key and environment.alive()
            ]
            outdated = [environment for environment in idle if environment not in warm]
            taken = warm.pop() if warm else None
            self._idle[function.name] = warm
        for environment in outdated:
            environment.stop()
        return taken

    def _release(self, function: FunctionVersion, environment: Environment | None) -> None:
        with self._changed:
            self._busy[function.name] -= 1
            if environment is not None and environment.alive():
                self._idle.setdefault(function.name, []).append(environment)
            elif environment is not None:
                environment.stop()
            self._changed.notify_all()

    def _reap(self) -> None:
        while True:
            with self._changed:
                pause = self._next_expiry()
                self._changed.wait(pause)
                expired = self._take_expired()
            for environment in expired:
                environment.stop()

    def _next_expiry(self) -> float | None:
        """Seconds until the first idle environment expires; None when none is idle."""
        since = [environment.idle_since for idle in self._idle.values() for environment in idle]
        return max(0.0, min(since) + self._idle_seconds - time.monotonic()) if since else None

    def _take_expired(self) -> list[Environment]:
        limit = time.monotonic() - self._idle_seconds
        expired = []
        for name, idle in self._idle.items():
            expired += [environment for environment in idle if environment.idle_since <= limit]
            self._idle[name] = [environment for environment in idle if environment.idle_since > limit]
        return expired
