"""Puts an object into S3 only where none is: the first of several writers wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TRIES = 4  # two writers at once: S3 asks for another try, and does not say whether either has written


def put_once(client: S3Client, request: Any) -> bool:
    """Put the object of ``request``, unless its key has one; return whether it was put. A file is read from its start.

    Buckets whose policy refuses a put without this condition take it, too.
    """
    for left in reversed(range(TRIES)):
        if not isinstance(request["Body"], bytes):
            request["Body"].seek(0)
        try:
            client.put_object(**request, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) == "PreconditionFailed":
                return False
            if error_code(error) != "ConditionalRequestConflict" or not left:
                raise
        else:
            break
    return True
