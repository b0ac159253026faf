"""The container of an endpoint, in its own folder, for as long as a context lasts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from localcloud.containers.container import Container, ContainerError
from localcloud.logs import LogStream
from localcloud.sagemaker.jobs import Job, JobFailed
from localcloud.sagemaker.machine import Machine, serving_container
from localcloud.sagemaker.roles import s3_with_role
from localcloud.sagemaker.store import Record

_CONNECT_SECONDS = 1.0
_CONNECT_PAUSE = 0.1


class Hosting(Job):
    """An endpoint that is kept up: its record, the means to end it, and its container once it answers."""

    def __init__(self, record: Record):
        super().__init__(record)
        self.container: Container | None = None


def log_group(endpoint_name: str) -> str:
    """Return the log group of an endpoint's container."""
    return f"/aws/sagemaker/Endpoints/{endpoint_name}"


@contextlib.contextmanager
def hosted(hosting: Hosting, machine: Machine) -> Iterator[Container]:
    """Run the endpoint's container while this context lasts, and remove its files afterwards.

    Raise JobFailed if it does not start, JobStopped if the endpoint is cancelled first.
    """
    record = hosting.record
    name, variant, definition = record["EndpointName"], record["Variant"]["VariantName"], record["Container"]
    log = LogStream(log_group(name), f"{variant}/i-local")
    _await_emulator(machine, hosting.cancelled)
    hosting.check()
    with machine.folder(name) as folder:
        with s3_with_role(record["ExecutionRoleArn"], name, machine.endpoint) as s3:
            environment = definition.get("Environment", {})
            container = serving_container(
                s3, definition, folder=folder, machine=machine, environment=environment, log=log
            )
        try:
            _start(container, hosting, variant, log)
            yield container
        finally:
            container.stop()


def _start(container: Container, hosting: Hosting, variant: str, log: LogStream) -> None:
    try:
        container.start(hosting.cancelled)
    except ContainerError as error:
        hosting.check()
        log.write(str(error).splitlines()[:1])  # the container has printed the others
        raise JobFailed(
            f"The primary container for production variant {variant} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        ) from error


def _await_emulator(machine: Machine, cancelled: threading.Event) -> None:
    """Wait until the emulator listens: after a restart, an endpoint may start before the emulator serves."""
    address = urlsplit(machine.endpoint)
    while not cancelled.is_set():
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address.hostname, address.port), timeout=_CONNECT_SECONDS),
        ):
            return
        cancelled.wait(_CONNECT_PAUSE)
