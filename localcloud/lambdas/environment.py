"""One Lambda execution environment: a process that runs awslambdaric against its Runtime API."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localcloud.host.processes import guard
from localcloud.lambdas.function import FunctionVersion
from localcloud.lambdas.memory import MemoryLimit
from localcloud.lambdas.runtime_api import Invocation, Outcome, RuntimeApi
from localcloud.lambdas.runtime_packages import BOOTSTRAP
from localcloud.logs import LogStream

_INIT_SECONDS = 10.0


@dataclass(frozen=True)
class Result:
    """An invocation's outcome and the log lines that it left."""

    outcome: Outcome
    log: str


class Environment:
    """A started environment. It runs one invocation at a time, and is spent once one of them timed out or crashed."""

    def __init__(
        self, function: FunctionVersion, *, scratch: Path, runtime_packages: Path, endpoint: str, image_root: Path
    ):
        """Start the process; `scratch` keeps code and temporary files, `endpoint` is where the SDK's calls go.

        `image_root` is the folder in which a function of the container image runs.
        """
        self.function = function
        self.idle_since = time.monotonic()
        self._reading = threading.Lock()
        self._lines: list[str] = []
        self._partial = b""
        self._api = RuntimeApi()
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}"
        self._stream = LogStream(function.log_group, stream)
        task_root, layers = (image_root, []) if function.is_image else function.extract(scratch)
        # -S: no site-packages of the virtual environment, only what the search path names. An image has its own.
        alone = [] if function.is_image else ["-S"]
        self._temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=scratch))
        environment = function.environment(
            task_root=task_root,
            search=[*(layer / "python" for layer in layers), runtime_packages],
            endpoint=endpoint,
            log_stream=stream,
        )
        self._child = guard().start(
            [sys.executable, *alone, "-m", BOOTSTRAP, function.handler],
            cwd=task_root,
            environment={
                **environment,
                "AWS_LAMBDA_RUNTIME_API": self._api.address,
                "HOME": str(self._temporary),
                "TMPDIR": str(self._temporary),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.set_blocking(self._child.output.fileno(), False)
        self._memory = MemoryLimit(self._child.pid, function.memory_size, self._kill)
        self._memory.start()
        threading.Thread(target=self._follow_output, name="lambda-output", daemon=True).start()

    def invoke(self, request_id: str, payload: bytes) -> Result:
        """Run one event; a crash, a timeout or a failed initialisation is an outcome too, with AWS's error types."""
        started = time.monotonic()
        deadline = time.time() + self.function.timeout
        invocation = Invocation(request_id, payload, self.function.arn, int(deadline * 1000))
        failed = self._initialise()
        if failed is None:
            self._api.submit(invocation)
            if not self.alive():
                invocation.end(self._exited())
            failed = self._wait(invocation)
        outcome = failed or invocation.outcome.result()
        self.idle_since = time.monotonic()
        return Result(outcome, self._report(request_id, started, outcome))

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.poll() is None

    def stop(self) -> None:
        """End the process at once, as Lambda does without extensions."""
        self._api.close()
        self._memory.stop()
        self._child.stop(grace=0)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _kill(self) -> None:
        """End the process as the kernel does at Lambda's memory limit: what follows its output sees that."""
        self._child.stop(grace=0)

    def _initialise(self) -> Outcome | None:
        try:
            failed = self._api.initialised.result(_INIT_SECONDS + self.function.timeout)
        except FutureTimeoutError:
            failed = _error("Sandbox.Timedout", "The function's initialisation timed out")
        if failed is not None:
            self.stop()
        return failed

    def _wait(self, invocation: Invocation) -> Outcome | None:
        try:
            invocation.outcome.result(self.function.timeout)
        except FutureTimeoutError:
            self.stop()
            message = (
                f"RequestId: {invocation.request_id} Error: Task timed out after {self.function.timeout:.2f} seconds"
            )
            return _error("Sandbox.Timedout", message)
        return None

    def _report(self, request_id: str, started: float, outcome: Outcome) -> str:
        """Write the platform's lines around the function's own; return all of them."""
        milliseconds = (time.monotonic() - started) * 1000
        self._read_output()
        lines = [f"START RequestId: {request_id} Version: $LATEST", *self._taken_lines()]
        if outcome.failed and not self.alive():
            lines.append(json.loads(outcome.body).get("errorMessage", ""))
        lines.append(f"END RequestId: {request_id}")
        status = "\tStatus: error\tError Type: Runtime.OutOfMemory" if self._memory.exceeded else ""
        lines.append(
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {self.function.memory_size} MB\t"
            f"Max Memory Used: {self._memory.look()} MB{status}"
        )
        self._stream.write(lines)
        return "\n".join(lines) + "\n"

    def _taken_lines(self) -> Sequence[str]:
        with self._reading:
            lines, self._lines = self._lines, []
        return lines

    def _follow_output(self) -> None:
        """Collect what the process prints until it closes its output; then it is gone, whatever it was doing."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.output, selectors.EVENT_READ)
            while selector.select() and self._read_output():
                pass
        self._child.wait()
        self._memory.stop()
        self._api.end(self._exited())

    def _read_output(self) -> bool:
        """Take all that is in the pipe; False at its end. What was printed before an answer is there before it."""
        with self._reading:
            while not self._child.output.closed:
                try:
                    block = os.read(self._child.output.fileno(), 65536)
                except BlockingIOError:
                    return True
                *lines, self._partial = (self._partial + block).split(b"\n")
                self._lines.extend(line.decode(errors="replace") for line in lines)
                if not block:
                    self._child.output.close()
            return False

    def _exited(self) -> Outcome:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(1.0)
        if self._memory.exceeded:
            return _error("Runtime.OutOfMemory", "Error: Runtime exited with error: signal: killed")
        return _error("Runtime.ExitError", f"Error: Runtime exited with exit status {self._child.poll()}")


def _error(kind: str, message: str) -> Outcome:
    return Outcome(json.dumps({"errorType": kind, "errorMessage": message}).encode(), failed=True)
