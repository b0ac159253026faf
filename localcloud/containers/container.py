"""A model container without docker: the command of the project's image with `serve`, as a guarded subprocess.

It keeps SageMaker's contract: `/opt/ml` (moved by SAGEMAKER_BASE_DIR), GET /ping, GET /execution-parameters and POST
/invocations. It does not use the emulator, so that a project can run its model without a cloud.

The server listens on the Unix socket `$<prefix>BIND_TO_SOCKET`, in a folder that only its owner can enter. A port would
be open to every user and every web page of this machine, and another program on that port would receive our objects.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from localcloud.archive import ArchiveError, unpack
from localcloud.containers.container_process import ContainerProcess
from localcloud.project import Project

PING_SECONDS = 2.0
STARTUP_SECONDS = 300.0
_PING_PAUSE = 0.1


class ContainerError(Exception):
    """The container did not start or has ended; the message carries its last log lines."""


class InvocationError(Exception):
    """A POST /invocations was answered with a status other than 200, or not at all."""

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


class Container:
    """A serving container with one model, used as a context manager; many threads may call `invoke`."""

    def __init__(
        self,
        project: Project,
        model: Path,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        startup_seconds: float = STARTUP_SECONDS,
        log: Callable[[str], None] | None = None,
        scratch: Path | None = None,
    ):
        """Prepare a container for `model`, a model.tar.gz or the folder that it was extracted to.

        `command` runs instead of the project's image with `serve`; `environment` is added to the clean one; its /opt/ml
        is made in the folder `scratch`.
        """
        self._model = model
        self._command = command or (*project.image, "serve")
        self._environment = dict(environment or {})
        self._socket_variable = project.variable("BIND_TO_SOCKET")
        self._startup_seconds = startup_seconds
        self._log = log
        self._scratch = scratch
        self._base: Path | None = None
        self.socket = Path()  # where it listens, after `start`
        self._process: ContainerProcess | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Container:
        try:
            self.start()
        except BaseException:
            self.stop(grace=0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, cancelled: threading.Event | None = None) -> None:
        """Start the command and wait until it answers GET /ping with 200.

        Raise ContainerError if the model cannot be unpacked, the command ends first, it does not answer within
        `startup_seconds`, or `cancelled` is set.
        """
        self._base = Path(tempfile.mkdtemp(prefix="container-", dir=self._scratch))
        model_folder = self._base / "model"
        if self._model.is_dir():
            model_folder.symlink_to(self._model.resolve())
        else:
            try:
                unpack(self._model, model_folder)
            except ArchiveError as error:
                raise ContainerError(str(error)) from error
        # Not below the base: the path of a socket has at most about a hundred characters.
        self.socket = Path(tempfile.mkdtemp(prefix="container-"), "socket")
        transport = httpx.HTTPTransport(
            uds=str(self.socket), limits=httpx.Limits(max_connections=None), trust_env=False
        )
        self._client = httpx.Client(base_url="http://container", transport=transport, trust_env=False)
        self._process = ContainerProcess(
            self._command,
            self._base,
            environment={**self._environment, self._socket_variable: str(self.socket)},
            log=self._log,
        )
        self._wait_for_ping(cancelled or threading.Event())

    def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/dicom",
        accept: str = "application/json",
        timeout: float = 600.0,
    ) -> bytes:
        """POST one object to /invocations, return the answer's body; raise InvocationError for any status but 200."""
        answer = self.post(body, content_type=content_type, accept=accept, timeout=timeout)
        if answer.status_code != 200:
            raise InvocationError(
                f"Bad HTTP status received from the model server: {answer.status_code}", answer.status_code
            )
        return answer.content

    def post(self, body: bytes, *, content_type: str, accept: str, timeout: float) -> httpx.Response:
        """POST one object to /invocations and return the answer of any status; raise InvocationError if none comes."""
        try:
            return self._http.post(
                "/invocations", content=body, headers={"content-type": content_type, "accept": accept}, timeout=timeout
            )
        except httpx.TimeoutException as error:
            raise InvocationError(
                f"Model server did not respond to /invocations request within {timeout:g} seconds"
            ) from error
        except (httpx.HTTPError, RuntimeError) as error:  # httpx's RuntimeError: the client was closed by `stop`
            raise InvocationError(f"The connection to the model server broke: {error!r}") from error

    def execution_parameters(self) -> dict[str, Any]:
        """Return what the container advises for batch transform; {} if it has no GET /execution-parameters."""
        try:
            answer = self._http.get("/execution-parameters", timeout=PING_SECONDS)
        except httpx.HTTPError:
            return {}
        if answer.status_code != 200:
            return {}
        advice = json.loads(answer.content)
        return advice if isinstance(advice, dict) else {}

    def running(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.child.poll() is None

    def last_lines(self) -> str:
        """Return the end of what the container printed."""
        return self._process.last_lines() if self._process else "(it was not started)"

    def stop(self, grace: float = 5.0) -> None:
        """End the process (SIGTERM, then SIGKILL after `grace` seconds) and remove its folder."""
        if self._process is not None:
            self._process.stop(grace)
        if self._client is not None:
            self._client.close()
            shutil.rmtree(self.socket.parent, ignore_errors=True)
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id of the running container."""
        if self._process is None:
            raise ContainerError("The container is not started.")
        return self._process.child.pid

    @property
    def _http(self) -> httpx.Client:
        if self._client is None:
            raise ContainerError("The container is not started; use it as a context manager.")
        return self._client

    def _wait_for_ping(self, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + self._startup_seconds
        while not self._ping():
            if not self.running():
                raise ContainerError(
                    f"The container ended before it answered /ping. Its last lines:\n{self.last_lines()}"
                )
            if time.monotonic() > deadline:
                raise ContainerError(
                    f"The container did not answer /ping within {self._startup_seconds:g} seconds. "
                    f"Its last lines:\n{self.last_lines()}"
                )
            if cancelled.wait(_PING_PAUSE):
                raise ContainerError("The container was stopped before it answered /ping.")

    def _ping(self) -> bool:
        if not self._listening():
            return False
        try:
            return self._http.get("/ping", timeout=PING_SECONDS).status_code == 200
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: the client was closed by `stop`
            return False

    def _listening(self) -> bool:
        """Return whether the socket accepts connections. The HTTP client would leak a socket for each refused one."""
        with socket.socket(socket.AF_UNIX) as attempt:
            try:
                attempt.connect(str(self.socket))
            except OSError:
                return False
        return True
