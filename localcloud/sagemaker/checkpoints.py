"""Checkpoints: downloaded before the container starts, uploaded while it runs and when it ends, however it ends."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from localcloud.sagemaker.jobs import Job, JobFailed
from localcloud.sagemaker.locations import S3Location, objects_below
from localcloud.sagemaker.store import Record
from localcloud.sagemaker.transfers import download, failing_upload, files, moved

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_log = logging.getLogger(__name__)
_DEFAULT_PATH = "/opt/ml/checkpoints"
_PAUSE_SECONDS = 2.0
_SHARE = 20  # uploads take at most a twentieth of the time, since every version of a checkpoint is kept
_SEND_SECONDS = 60.0


def checkpoint_folder(base: Path, configuration: Record) -> Path:
    """Return the checkpoint folder of a host; raise a ValidationException for a path outside /opt/ml."""
    return moved(base, configuration.get("LocalPath", _DEFAULT_PATH))


@contextlib.contextmanager
def checkpointed(s3: S3Client, job: Job, bases: Sequence[Path]) -> Iterator[None]:
    """Fill the hosts' checkpoint folders from S3, and upload what appears in them while this context lasts.

    Raise JobFailed if S3 refuses, unless the context itself ends with an error, which says more.
    """
    configuration = job.record.get("CheckpointConfig")
    if configuration is None:
        yield
        return
    folders = [checkpoint_folder(base, configuration) for base in bases]
    copies = [_Copy(s3, folder, S3Location.parse(configuration["S3Uri"])) for folder in folders]
    for copy in copies:
        copy.fetch(job)
    ended = threading.Event()
    sender = threading.Thread(target=_keep_sending, args=(copies, ended), name="checkpoints", daemon=True)
    sender.start()
    try:
        yield
    except BaseException:
        _end(ended, sender)
        with contextlib.suppress(JobFailed):
            _send_all(copies)
        raise
    _end(ended, sender)
    _send_all(copies)


@dataclass
class _Copy:
    """A host's folder, and the time and size of the files that S3 has."""

    s3: S3Client
    folder: Path
    target: S3Location
    sent: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def fetch(self, job: Job) -> None:
        """Download the checkpoints of an earlier job; raise JobFailed if S3 refuses."""
        try:
            objects = objects_below(self.s3, self.target)
        except ClientError as error:
            raise JobFailed(f"ClientError: The checkpoints could not be listed: {error}") from error
        download(self.s3, objects, self.folder, job.check)
        self.sent = {path: _state(path) for path in files(self.folder)}

    def send(self) -> None:
        """Upload the files that are new or have changed, delete the removed ones; raise JobFailed if S3 refuses."""
        for path in [path for path in self.sent if not path.exists()]:
            target = self._target(path)
            with failing_upload():
                self.s3.delete_object(Bucket=target.bucket, Key=target.key)
            del self.sent[path]
        for path in files(self.folder):
            with contextlib.suppress(FileNotFoundError):  # it was renamed or removed meanwhile
                state = _state(path)
                if self.sent.get(path) == state:
                    continue
                target = self._target(path)
                with failing_upload():
                    self.s3.upload_file(str(path), target.bucket, target.key)
                self.sent[path] = state

    def _target(self, path: Path) -> S3Location:
        return self.target.below(path.relative_to(self.folder).as_posix())


def _keep_sending(copies: Sequence[_Copy], ended: threading.Event) -> None:
    pause = _PAUSE_SECONDS
    while not ended.wait(pause):
        started = time.monotonic()
        try:
            _send_all(copies)
        except JobFailed as error:
            _log.warning("Checkpoints are behind: %s", error)  # the end of the job tries again and reports
        pause = max(_PAUSE_SECONDS, _SHARE * (time.monotonic() - started))


def _end(ended: threading.Event, sender: threading.Thread) -> None:
    ended.set()
    sender.join(_SEND_SECONDS)


def _send_all(copies: Sequence[_Copy]) -> None:
    for copy in copies:
        copy.send()


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
