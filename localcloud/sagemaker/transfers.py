"""Transfers between S3 and the folder of a job: inputs and outputs, always with the job's role."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from localcloud.archive import pack
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.jobs import JobFailed
from localcloud.sagemaker.locations import InputObject, S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ROOT = "/opt/ml/"


def moved(base: Path, path: str, below: str = _ROOT) -> Path:
    """Return where a path of the container is in `base`, the job's folder, which replaces /opt/ml.

    Raise a ValidationException for a path that is not below `below`.
    """
    if not path.startswith(below) or ".." in path.split("/"):
        raise invalid(f"LocalPath {path!r} must be below {below}.")
    return base / path.removeprefix(_ROOT)


def download(s3: S3Client, objects: list[InputObject], folder: Path, check: Callable[[], None]) -> None:
    """Write the objects below `folder` by their names; call `check`, which may raise, before each.

    Raise JobFailed for an object that cannot be read, or with a name that leads out of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for item in objects:
        check()
        target = (folder / item.name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise JobFailed(f"ClientError: The key {item.name!r} leads out of its folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            answer = s3.get_object(Bucket=item.location.bucket, Key=item.location.key)
        except ClientError as error:
            raise JobFailed(f"ClientError: Data download failed: {item.name}: {error}") from error
        with answer["Body"] as body, target.open("wb") as file:
            shutil.copyfileobj(body, file)


def upload_folder(s3: S3Client, folder: Path, target: S3Location, key_id: str | None) -> None:
    """Upload every file below `folder` to a key below `target`, encrypted with a KMS key if `key_id` is given."""
    for path in files(folder):
        upload(s3, path, target.below(path.relative_to(folder).as_posix()), key_id)


def upload_archive(s3: S3Client, folder: Path, target: S3Location, key_id: str | None) -> bool:
    """Pack a folder into a gzipped tar archive and upload it; return False if the folder is empty."""
    if not any(folder.iterdir()):
        return False
    archive = folder.parent / target.key.rsplit("/", 1)[-1]
    pack(folder, archive)
    upload(s3, archive, target, key_id)
    return True


def upload(s3: S3Client, path: Path, target: S3Location, key_id: str | None) -> None:
    """Upload one file; raise JobFailed if S3 refuses it."""
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}
    with failing_upload():
        s3.upload_file(str(path), target.bucket, target.key, ExtraArgs=extra)


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def failing_upload() -> Iterator[None]:
    """Turn S3's refusal of an upload into JobFailed."""
    try:
        yield
    except (S3UploadFailedError, ClientError) as error:
        raise JobFailed(f"ClientError: The output could not be uploaded: {error}") from error
