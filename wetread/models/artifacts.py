"""Model artifacts as a person names them: a file here, or an s3:// URI."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.aws.objects import GONE
from functions.domain import layout
from wetread.connection import Connection
from wetread.problems import ConfigProblem


@contextlib.contextmanager
def at_hand(connection: Connection, artifact: str) -> Iterator[Path]:
    """Yield the model.tar.gz as a file, downloaded from S3 if needed, for the time of the context.

    Raises ConfigProblem if there is no artifact. Its content is not validated.
    """
    if not artifact.startswith("s3://"):
        path = Path(artifact)
        if not path.is_file():
            raise ConfigProblem(f"There is no file {artifact!r}.", "Give a model.tar.gz or an s3:// URI of one.")
        yield path
        return
    try:
        bucket, key = layout.parse_uri(artifact)
    except ValueError as error:
        raise ConfigProblem(f"{error}.", "Give the URI of a model.tar.gz.") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        try:
            connection.s3.download_file(bucket, key, str(path))
        except ClientError as error:
            if error_code(error) not in GONE:
                raise
            raise ConfigProblem(f"There is no object {artifact}.", "Give the URI of a model.tar.gz.") from error
        yield path
