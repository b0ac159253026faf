"""Decides which errors are AWS trouble, and which the object may have caused. No other module does.

AWS trouble affects any object: throttling, an error inside AWS, a lost connection, credentials, a permission that the
role has lost, a table, bucket or key of the service that is gone or disabled, a request that never reached AWS. It says
nothing about the upload, so it is retried as long as the queue keeps the message, and never ends as a refusal. The
object may have caused any other error, known or not, so that error ends after a few tries.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from functions.aws.items import error_code

THROTTLED = frozenset(
    {
        *("BandwidthLimitExceeded", "LimitExceededException", "ProvisionedThroughputExceededException", "SlowDown"),
        *("RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "ThrottledException"),
        *("Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException"),
    }
)
INSIDE_AWS = frozenset(
    {
        *("InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "Busy", "OperationAborted"),
        *("RequestTimeout", "RequestTimeoutException", "RequestTimeTooSkewed", "PriorRequestNotComplete"),
        *("TransactionConflictException", "ReplicatedWriteConflictException", "ConditionalRequestConflict"),
        *("DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException", "503", "500"),
    }
)
CREDENTIALS = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"),
        *("RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException"),
        *("AccountProblem", "AuthorizationHeaderMalformed", "IncompleteSignature", "InvalidSecurity", "NotSignedUp"),
        *("MissingAuthenticationToken", "MissingSecurityHeader", "OptInRequired", "UnauthorizedAccess", "401"),
    }
)
# What the stack has set up and a person has changed. S3 also answers AccessDenied for a single object:
# `functions.aws.objects` finds objects under another key before they come here.
SERVICE_CHANGED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "InvalidPayer", "NoSuchBucket", "403"),
        *("PermanentRedirect", "Redirect", "TemporaryRedirect", "301", "307", "InvalidGrantTokenException"),
        *("ResourceNotFoundException", "NotFoundException", "DisabledException", "KMSInvalidStateException"),
        *("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidKeyUsageException"),
    }
)
CODES = THROTTLED | INSIDE_AWS | CREDENTIALS | SERVICE_CHANGED
OF_KMS = "KMS."  # S3's prefix for KMS's errors
TOO_MANY_REQUESTS = 429
FIRST_OF_SERVERS = 500
_NAME = re.compile(r"[A-Za-z0-9._]{1,64}")


def is_trouble(error: Exception) -> bool:
    """Return whether an error is AWS trouble, which affects any object and is to be retried."""
    if not isinstance(error, ClientError):
        return isinstance(error, BotoCoreError | OSError) and not isinstance(error, ParamValidationError)
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    by_status = status == TOO_MANY_REQUESTS or status >= FIRST_OF_SERVERS
    return by_status or code in CODES or code.startswith(OF_KMS)


def name_of(error: Exception) -> str:
    """Return an error's name for people: AWS's code, else its class; never its text, which may have an object's key."""
    code = error_code(error) if isinstance(error, ClientError) else ""
    return code if _NAME.fullmatch(code) else type(error).__name__


def loggable(error: Exception) -> dict[str, Any]:
    """Return what may be logged of an error: its kind and where it was raised, never its text.

    The text may name an object's key, and with it a patient.
    """
    frames = traceback.extract_tb(error.__traceback__)
    found: dict[str, Any] = {
        "error": type(error).__name__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, ClientError):
        found |= {"aws_error": error_code(error), "operation": error.operation_name}
    return found
