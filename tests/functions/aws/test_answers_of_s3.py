"""S3's answers, as they come over the wire and as botocore reads them: what is refused for good, and what is trouble.

HeadObject's errors have no body. Other errors have one that repeats the key. A key may have characters that XML does
not allow, and then botocore cannot read the body.
"""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.aws.objects import Uploads
from functions.aws.trouble import is_trouble
from functions.domain.errors import Refusal, RefusalCode

OWN_KEY = "arn:aws:kms:eu-west-1:111111111111:key/11111111-own"
OTHER_KEY = "arn:aws:kms:eu-west-1:222222222222:key/22222222-other"
KEY = "ward/DOE^JOHN\x01.dcm"
Answer = tuple[int, dict[str, str], str]
SEEN: Answer = (200, {}, "")


class Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_options: object) -> Any:
        yield self.read()


def error(status: int, code: str, message: str = "", key: str = "ward/a.dcm") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message><Key>{key}</Key></Error>"
    return status, {"content-type": "application/xml"}, body


def bare(status: int, **headers: str) -> Answer:
    return status, headers, ""


def uploads(**answers: Answer) -> Uploads:
    """Return the uploads of an S3 that answers each method (GET, PUT, HEAD) in this way."""
    client = boto3.client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: AWSRequest, **_context: object) -> AWSResponse:
        status, headers, body = answers[request.method]
        return AWSResponse(request.url, status, headers, Raw(body.encode()))  # type: ignore[arg-type]

    client.meta.events.register("before-send.s3", send)
    return Uploads(client, "uploads-bucket", "work-bucket", OWN_KEY)


REFUSED: list[tuple[Answer, Answer, RefusalCode]] = [
    (error(404, "NoSuchKey"), SEEN, RefusalCode.OBJECT_GONE),
    (error(404, "NoSuchVersion", key="&#x1;"), SEEN, RefusalCode.OBJECT_GONE),
    (error(405, "MethodNotAllowed", key="&#x1;"), SEEN, RefusalCode.OBJECT_GONE),
    (error(403, "AccessDenied"), bare(404), RefusalCode.OBJECT_GONE),
    (error(403, "AccessDenied"), bare(405, **{"x-amz-delete-marker": "true"}), RefusalCode.OBJECT_GONE),
    (error(403, "InvalidObjectState"), SEEN, RefusalCode.ARCHIVED),
    (error(403, "ObjectNotInActiveTierError"), SEEN, RefusalCode.ARCHIVED),
    (
        error(403, "InvalidObjectState", key="&#x1;"),
        bare(200, **{"x-amz-storage-class": "DEEP_ARCHIVE"}),
        RefusalCode.ARCHIVED,
    ),
    (bare(403), bare(200, **{"x-amz-archive-status": "DEEP_ARCHIVE_ACCESS"}), RefusalCode.ARCHIVED),
    (error(400, "InvalidRequest", "The object was stored using a form of SSE"), bare(400), RefusalCode.CUSTOMER_KEY),
    (error(400, "InvalidRequest", key="&#x1;"), bare(400), RefusalCode.CUSTOMER_KEY),
    (
        error(403, "AccessDenied"),
        bare(200, **{"x-amz-server-side-encryption-aws-kms-key-id": OTHER_KEY}),
        RefusalCode.FOREIGN_KEY,
    ),
    (
        error(400, "KMS.DisabledException"),
        bare(200, **{"x-amz-server-side-encryption-aws-kms-key-id": OTHER_KEY}),
        RefusalCode.FOREIGN_KEY,
    ),
]
TROUBLE: list[tuple[Answer, Answer]] = [
    (error(403, "AccessDenied"), bare(403)),
    (error(403, "AccessDenied"), SEEN),
    (error(403, "AccessDenied", key="&#x1;"), bare(503)),
    (error(400, "KMS.DisabledException"), bare(200, **{"x-amz-server-side-encryption-aws-kms-key-id": OWN_KEY})),
    (error(503, "SlowDown"), SEEN),
    (bare(503), bare(503)),
    (bare(500), SEEN),
    (error(400, "ExpiredToken"), bare(400)),
    (error(400, "RequestTimeout"), SEEN),
    (error(500, ""), SEEN),
    (error(403, ""), bare(403)),
    (error(200, "SlowDown"), SEEN),  # a copy's error may come after its status
    (error(200, "InternalError"), SEEN),
]


def asked(answer: Answer, seen: Answer, method: str) -> None:
    """Read an object's head, or copy it."""
    there = uploads(**{method: answer, "HEAD": seen})
    if method == "GET":
        there.head(KEY, "v1", 100)
    else:
        there.pin(KEY, "v1", "name.dcm")


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(("answer", "seen", "code"), REFUSED)
def test_what_s3_refuses_for_good_has_its_name(method: str, answer: Answer, seen: Answer, code: RefusalCode) -> None:
    with pytest.raises(Refusal) as refused:
        asked(answer, seen, method)
    assert refused.value.code == code
    assert "DOE" not in str(refused.value)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(("answer", "seen"), TROUBLE)
def test_what_may_pass_is_trouble(method: str, answer: Answer, seen: Answer) -> None:
    if (answer[0], method) == (200, "GET"):
        pytest.skip("only a copy has an error after its status")
    with pytest.raises(ClientError) as raised:
        asked(answer, seen, method)
    assert is_trouble(raised.value)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("answer", [error(400, "InvalidArgument"), bare(412), error(409, "ErrorOfTheYear2031")])
def test_what_nobody_knows_is_neither(method: str, answer: Answer) -> None:
    with pytest.raises(ClientError) as raised:
        asked(answer, SEEN, method)
    assert not is_trouble(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        "<ChecksumSHA256>{composite}-2</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType>",
        "<ChecksumSHA256>{composite}-2</ChecksumSHA256>",
        "<ChecksumSHA256>{composite}</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType>",
        "",
        "<ChecksumSHA256>{whole}</ChecksumSHA256><ChecksumType>FULL_OBJECT</ChecksumType>",
    ],
)
def test_the_digest_of_a_copy_is_that_of_its_bytes_even_if_s3_passes_on_that_of_parts(given: str) -> None:
    body, other = "DICM", base64.b64encode(hashlib.sha256(b"of parts").digest()).decode()
    whole = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    checksums = given.format(composite=other, whole=whole)
    copied = f"<CopyObjectResult><ETag>e</ETag>{checksums}</CopyObjectResult>"
    answers = uploads(PUT=(200, {"content-type": "application/xml"}, copied), GET=(200, {}, body))
    assert answers.pin(KEY, "v1", "name") == hashlib.sha256(body.encode()).hexdigest()
