"""The machine that jobs and endpoints run on: where they reach S3, a folder for each, and their containers."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from localcloud.containers.container import Container
from localcloud.logs import LogStream
from localcloud.project import Project
from localcloud.sagemaker.jobs import JobFailed
from localcloud.sagemaker.locations import S3Location
from localcloud.sagemaker.store import Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Containers give way to the emulator and the functions, which need little of the processor, but at once.
_NICE = ("nice", "-n", "5")


@dataclass(frozen=True)
class Machine:
    """What every job and endpoint has around it."""

    endpoint: str
    """Where the emulator listens."""
    scratch: Path
    ping_seconds: float
    """How long a container may take until it answers /ping."""
    project: Project

    def command_of(self, *arguments: str) -> tuple[str, ...]:
        """Return the container's command line with `serve`, `train` or a processing job's arguments."""
        return (*_NICE, *self.project.image, *arguments)

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Provide a folder for one job or endpoint, which is removed at the end of the context."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def serving_container(
    s3: S3Client, definition: Record, *, folder: Path, machine: Machine, environment: Mapping[str, str], log: LogStream
) -> Container:
    """Download the artifact of a container definition to `folder`, and return its container, not started yet.

    Raise JobFailed if S3 refuses or the disk is full.
    """
    artifact = folder / "model.tar.gz"
    _download(s3, definition["ModelDataUrl"], artifact)
    return Container(
        machine.project,
        artifact,
        command=machine.command_of("serve"),
        environment=environment,
        startup_seconds=machine.ping_seconds,
        log=lambda line: log.write([line]),
        scratch=folder,
    )


def _download(s3: S3Client, uri: str, target: Path) -> None:
    artifact = S3Location.parse(uri)
    try:
        s3.download_file(artifact.bucket, artifact.key, str(target))
    except (ClientError, OSError) as error:  # OSError: the disk is full or cannot be written
        raise JobFailed(f"ClientError: Failed to download model data from {uri}: {error}") from error
