"""What boto3 raises becomes a sentence with a remedy and the right exit code."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
)

from wetread.problems import of_aws


def answered(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "the reason"}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (NoCredentialsError(), 2, "Sign in"),
        (ProfileNotFound(profile="absent"), 2, "absent"),
        (NoRegionError(), 2, "--region"),
        (answered("ExpiredToken"), 2, "Sign in again"),
        (answered("AccessDenied"), 1, "permission"),
        (answered("InternalError"), 1, "the reason"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:4566"), 1, "127.0.0.1:4566"),
        (ParamValidationError(report="bad"), 1, "bad"),
    ],
)
def test_every_aws_error_is_reported(error, exit_code, words) -> None:
    problem = of_aws(error)
    assert problem.exit_code == exit_code
    assert words in problem.message
    assert problem.remedy
