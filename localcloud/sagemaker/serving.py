"""The serving container of a model: what transform jobs and endpoints have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from localcloud.containers.container import Container
from localcloud.logs import LogStream
from localcloud.sagemaker.jobs import JobFailed
from localcloud.sagemaker.locations import S3Location
from localcloud.sagemaker.place import Place
from localcloud.sagemaker.store import Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def serving_container(
    s3: S3Client, definition: Record, *, folder: Path, place: Place, environment: Mapping[str, str], log: LogStream
) -> Container:
    """Download the artifact of a container definition to `folder`, and prepare its container there.

    Raise JobFailed when S3 refuses, or the disk has no room.
    """
    artifact = folder / "model.tar.gz"
    _download(s3, definition["ModelDataUrl"], artifact)
    return Container(
        place.project,
        artifact,
        command=place.command_of("serve"),
        environment=environment,
        startup_seconds=place.ping_seconds,
        log=lambda line: log.write([line]),
        scratch=folder,
    )


def _download(s3: S3Client, uri: str, target: Path) -> None:
    artifact = S3Location.parse(uri)
    try:
        s3.download_file(artifact.bucket, artifact.key, str(target))
    except (ClientError, OSError) as error:  # OSError: the disk is full, or not to be written
        raise JobFailed(f"ClientError: Failed to download model data from {uri}: {error}") from error
