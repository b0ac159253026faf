"""The data path of batch transform: one object, one POST, one output; an object that fails has no output.

Outputs are stored when all objects have been posted: AWS stores nothing of a job that is stopped earlier.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.containers.container import Container, InvocationError
from localcloud.logs import LogStream
from localcloud.sagemaker.locations import InputObject, S3Location
from localcloud.sagemaker.store import Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BATCH_STRATEGY = "SINGLE_RECORD"
_MEGABYTE = 1024 * 1024
_DEFAULT_PAYLOAD_MB = 6
_DEFAULT_CONCURRENCY = 1
_DEFAULT_TIMEOUT_SECONDS = 600
_DEFAULT_RETRIES = 3
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class TransformSettings:
    """How the objects of a job are posted. A payload limit of 0 means no limit."""

    concurrency: int
    max_payload_mb: int
    timeout_seconds: float
    retries: int
    content_type: str
    accept: str
    output: S3Location

    @classmethod
    def of(cls, request: Record, advice: dict[str, Any]) -> TransformSettings:
        """Take each setting from the request, else the container's /execution-parameters, else the defaults."""
        client = request.get("ModelClientConfig", {})
        advised_concurrency = int(advice.get("MaxConcurrentTransforms", _DEFAULT_CONCURRENCY))
        return cls(
            concurrency=request.get("MaxConcurrentTransforms") or max(1, advised_concurrency),
            max_payload_mb=request.get("MaxPayloadInMB", int(advice.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB))),
            timeout_seconds=client.get("InvocationsTimeoutInSeconds", _DEFAULT_TIMEOUT_SECONDS),
            retries=client.get("InvocationsMaxRetries", _DEFAULT_RETRIES),
            content_type=request["TransformInput"].get("ContentType", "application/octet-stream"),
            accept=request["TransformOutput"].get("Accept", "*/*"),
            output=S3Location.parse(request["TransformOutput"]["S3OutputPath"]),
        )


class RecordTransform:
    """Posts the objects of a job from many threads, and keeps the answers in a folder."""

    def __init__(
        self,
        s3: S3Client,
        container: Container,
        settings: TransformSettings,
        log: LogStream,
        cancelled: threading.Event,
        answers: Path,
    ):
        self._s3 = s3
        self._container = container
        self._settings = settings
        self._log = log
        self._cancelled = cancelled
        self._answers = answers
        self._container_failed = False
        limits = f"MaxConcurrentTransforms={settings.concurrency}, MaxPayloadInMB={settings.max_payload_mb}"
        self._say(f"{limits}, BatchStrategy={BATCH_STRATEGY}")

    @property
    def blame(self) -> str:
        """The error class of the job: AlgorithmError if the container failed, ClientError if an input did."""
        return "AlgorithmError" if self._container_failed else "ClientError"

    def transform(self, item: InputObject) -> Path | None:
        """Post one object; return the file of its answer, or None if it failed, which the data log explains."""
        if self._cancelled.is_set():
            return None
        if not self._container.running():
            self._container_failed = True
            return None
        try:
            source = self._s3.get_object(Bucket=item.location.bucket, Key=item.location.key)
            body = source["Body"].read()
            limit = self._settings.max_payload_mb
            if limit and len(body) > limit * _MEGABYTE:
                self._say(f"{item.name}: {len(body)} bytes are more than MaxPayloadInMB={limit} allows")
                return None
            return self._keep(self._invoke(body))
        except InvocationError as error:
            self._container_failed |= error.status is None or error.status >= 500
            self._say(f"{item.name}: {error}")
        except (ClientError, BotoCoreError) as error:
            self._say(f"{item.name}: {error}")
        return None

    def store(self, item: InputObject, answer: Path | None) -> bool:
        """Store an answer below the job's output path; return False if there is no answer or S3 refuses it."""
        if answer is None:
            return False
        target = self._settings.output.below(f"{item.name}.out")
        try:
            self._s3.put_object(Bucket=target.bucket, Key=target.key, Body=answer.read_bytes())
        except (ClientError, BotoCoreError) as error:
            self._say(f"{item.name}: {error}")
            return False
        return True

    def _keep(self, answer: bytes) -> Path:
        with tempfile.NamedTemporaryFile(dir=self._answers, delete=False) as file:
            file.write(answer)
        return Path(file.name)

    def _invoke(self, body: bytes) -> bytes:
        for attempts_left in range(self._settings.retries, -1, -1):
            try:
                return self._container.invoke(
                    body,
                    content_type=self._settings.content_type,
                    accept=self._settings.accept,
                    timeout=self._settings.timeout_seconds,
                )
            except InvocationError as error:
                if not attempts_left or not _worth_a_retry(error) or self._cancelled.is_set():
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _say(self, text: str) -> None:
        self._log.write([f"{datetime.now(UTC).isoformat(timespec='milliseconds')}:[sagemaker logs]: {text}"])


def _worth_a_retry(error: InvocationError) -> bool:
    """Return whether a retry can help: a container that refuses an input refuses it again."""
    return error.status is None or error.status >= 500 or error.status == _TOO_MANY_REQUESTS
