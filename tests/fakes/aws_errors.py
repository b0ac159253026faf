"""The errors that AWS may answer ingest with: botocore's model's, S3's documentation's, and an unknown one."""

from __future__ import annotations

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.fakes.wire import client_error

# What ingest asks of AWS, by service.
ASKED = {
    "s3": ("GetObject", "HeadObject", "CopyObject"),
    "kms": ("GenerateMac",),
    "dynamodb": ("GetItem", "PutItem", "BatchGetItem"),
}
UNKNOWN = "ErrorOfTheYear2031"
# S3's documented codes for reads and copies (API reference, "Error responses"), and KMS's in S3's answers, by status.
DOCUMENTED = {
    301: ("PermanentRedirect",),
    307: ("Redirect", "TemporaryRedirect"),
    400: (
        *(
            "AuthorizationHeaderMalformed",
            "BadDigest",
            "EntityTooLarge",
            "ExpiredToken",
            "IllegalLocationConstraintException",
        ),
        *("IncompleteBody", "InvalidArgument", "InvalidBucketName", "InvalidDigest", "InvalidEncryptionAlgorithmError"),
        *("InvalidRequest", "InvalidStorageClass", "InvalidToken", "InvalidURI", "KeyTooLongError", "MalformedXML"),
        *(
            "MetadataTooLarge",
            "MissingSecurityHeader",
            "RequestTimeout",
            "TokenRefreshRequired",
            "UserKeyMustBeSpecified",
        ),
        *("KMS.DisabledException", "KMS.InvalidKeyUsageException", "KMS.KMSInvalidStateException"),
        *("KMS.NotFoundException", "KMS.ThrottlingException", "KMS.UnrecognizedClientException"),
        "400",
    ),
    401: ("401",),
    403: (
        *(
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "InvalidAccessKeyId",
            "InvalidObjectState",
            "InvalidPayer",
        ),
        *("InvalidSecurity", "NotSignedUp", "ObjectNotInActiveTierError", "RequestExpired", "RequestTimeTooSkewed"),
        *("SignatureDoesNotMatch", "UnauthorizedAccess", "403"),
    ),
    404: ("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"),
    405: ("MethodNotAllowed", "405"),
    409: ("BucketAlreadyExists", "ConditionalRequestConflict", "OperationAborted", "RestoreAlreadyInProgress", "409"),
    411: ("MissingContentLength",),
    412: ("PreconditionFailed", "412"),
    416: ("InvalidRange", "416"),
    429: ("TooManyRequests",),
    500: ("InternalError", "KMS.KMSInternalException", "KMS.DependencyTimeoutException", "500"),
    501: ("NotImplemented",),
    503: ("ServiceUnavailable", "SlowDown", "Busy", "Throttling", "503"),
    304: ("NotModified", "304"),
}


def of_the_model(service: str) -> dict[str, list[str]]:
    """Return the errors of botocore's model by operation (its method), so that a new botocore's are tried too."""
    model = botocore.session.get_session().get_service_model(service)
    return {
        xform_name(name): [
            error.metadata.get("error", {}).get("code") or error.name
            for error in model.operation_model(name).error_shapes
        ]
        for name in ASKED[service]
    }


def every_error(operation: str) -> dict[str, ClientError]:
    """Return every error that S3 may answer an operation with, by name; the unknown one with several statuses."""
    errors = {f"{code} {status}": _answered(code, status) for status, codes in DOCUMENTED.items() for code in codes}
    errors |= {f"{code} of the model": client_error(code) for code in of_the_model("s3")[operation]}
    return errors | {f"{UNKNOWN} {status}": _answered(UNKNOWN, status) for status in (400, 403, 404, 409, 500)}


def _answered(code: str, status: int) -> ClientError:
    return client_error(code, "of DOE^JOHN.dcm", ResponseMetadata={"HTTPStatusCode": status})
