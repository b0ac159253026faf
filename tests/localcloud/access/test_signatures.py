"""The door lets pass what its key or a session has signed, now, and nothing else."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.credentials import Credentials

from localcloud.access import signatures
from localcloud.account import ACCOUNT_ID
from localcloud.patches import iam
from localcloud.patches.patching import emulator
from tests.localcloud.access.sending import HOME, KEY, refused, sent, signed

ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/reader"


def test_known_and_guessed_keys_are_refused(door, behind):
    for identifier in ("test", ACCOUNT_ID, "123456789012", "AKIAIOSFODNN7EXAMPLE", "ASIA0123456789ABCDEF"):
        for secret in ("test", "", KEY.secret_access_key):
            for auth in (S3SigV4Auth, S3SigV4QueryAuth):
                refused(door, behind, *signed(auth=auth, credentials=Credentials(identifier, secret or "-")))


def test_a_wrong_secret_is_refused(door, behind):
    wrong = Credentials(KEY.access_key_id, "another secret")
    for auth in (S3SigV4Auth, S3SigV4QueryAuth):
        assert "SignatureDoesNotMatch" in refused(door, behind, *signed(auth=auth, credentials=wrong))
    assert "InvalidSignatureException" in refused(
        door,
        behind,
        *signed(
            "POST",
            "/",
            auth=SigV4Auth,
            service="dynamodb",
            credentials=wrong,
            **{"X-Amz-Target": "DynamoDB_20120810.GetItem"},
        ),
    )


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential={key}/20261128/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential={key}/20261128/us-east-1/s3/aws4_request",
        "AWS4-HMAC-SHA256 Credential={key}",
        "AWS4-HMAC-SHA256 ",
        "AWS {key}:c2lnbmF0dXJl",
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20261128/s3/aws4_request, SignedHeaders=host, Signature=00",
        "Bearer {key}",
        "Basic dGVzdDp0ZXN0",
        "",
    ],
)
def test_half_a_signature_is_refused(door, behind, authorization):
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"Host": HOME, "X-Amz-Date": date, "Authorization": authorization.format(key=KEY.access_key_id)}
    refused(door, behind, "GET", "/bucket", headers)


def test_of_two_keys_in_one_header_neither_counts(door, behind):
    method, target, headers, body = signed()
    own = headers["Authorization"]
    for other in ("test", ACCOUNT_ID):
        first = own.replace("Credential=", f"Credential={other}/20261128/us-east-1/s3/aws4_request, Credential=")
        refused(door, behind, method, target, {**headers, "Authorization": first}, body)
        refused(door, behind, method, target, {**headers, "Authorization": [own, own]}, body)


def test_a_signature_in_header_and_query_is_refused(door, behind):
    method, target, headers, body = signed(auth=S3SigV4QueryAuth)
    _method, _target, also, _body = signed()
    refused(door, behind, method, target, {**headers, **also}, body)
    for named in ("AWSAccessKeyId=test", "x-amz-credential=test", "X-Amz-Credential=test", "X-Amz-Signature=0"):
        refused(door, behind, *signed(path=f"/bucket/key?{named}"))


@pytest.mark.parametrize("auth", [S3SigV4Auth, SigV4Auth, SigV4QueryAuth])
def test_a_changed_body_is_refused(door, behind, auth):
    method, target, headers, body = signed(
        "PUT", body=b"this", auth=auth, service="s3" if auth is S3SigV4Auth else "sqs"
    )
    refused(door, behind, method, target, headers, b"that")
    digest = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
    refused(door, behind, method, target, {**headers, **digest}, b"that")


@pytest.mark.parametrize("auth", [S3SigV4Auth, S3SigV4QueryAuth])
def test_a_changed_method_path_query_or_header_is_refused(door, behind, auth):
    method, target, headers, body = signed("GET", "/bucket/key?versionId=1", auth=auth)
    refused(door, behind, "DELETE", target, headers, body)
    refused(door, behind, method, target.replace("key", "other"), headers, body)
    refused(door, behind, method, target.replace("versionId=1", "versionId=2"), headers, body)
    refused(door, behind, method, f"{target}&acl", headers, body)
    refused(door, behind, method, target, {**headers, "X-Amz-Copy-Source": "/bucket/secret"}, body)


def test_an_old_request_is_refused_and_one_from_the_future(door, behind, monkeypatch):
    requests = [signed(), signed(auth=S3SigV4QueryAuth), signed("POST", "/", auth=SigV4Auth, service="sts")]
    for distance in (
        signatures.SKEW + timedelta(seconds=90),
        -signatures.SKEW - timedelta(seconds=90),
        timedelta(days=1),
    ):

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + distance  # noqa: B023 (used at once)

        monkeypatch.setattr(signatures, "datetime", Clock)
        for request in requests:
            refused(door, behind, *request)


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "9" * 30, "", "1e3", "60 "])
def test_a_presigned_request_is_for_seven_days_at_most(door, behind, expires):
    refused(door, behind, *signed(auth=S3SigV4QueryAuth, expires=expires))
    assert sent(door, *signed(auth=S3SigV4QueryAuth, expires="604800"))[0] == 200


def test_a_presigned_request_of_a_version_before_four_is_refused(door, behind):
    refused(door, behind, *signed(auth=HmacV1QueryAuth))


@pytest.mark.parametrize("part", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_part_of_a_presigned_request_may_not_lack_or_come_twice(door, behind, part):
    method, target, headers, body = signed(auth=S3SigV4QueryAuth)
    (whole,) = re.findall(rf"X-Amz-{part}=[^&]*", target)
    refused(door, behind, method, target.replace(whole, ""), headers, body)
    refused(door, behind, method, f"{target}&{whole}", headers, body)
    refused(door, behind, method, f"{target}&{whole.lower()}", headers, body)


@pytest.fixture
def session(monkeypatch):
    """Credentials of a role's session, as a function gets them."""
    sts = emulator("services.sts", "_sessions")
    monkeypatch.setattr(sts, "_sessions", {})
    given = iam._session(ROLE, "a-function")
    return Credentials(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], given["AWS_SESSION_TOKEN"])


def test_a_session_that_was_issued_here_passes(door, session):
    for auth in (S3SigV4Auth, S3SigV4QueryAuth):
        assert sent(door, *signed(auth=auth, credentials=session))[0] == 200


def test_a_session_with_another_secret_or_token_or_out_of_time_is_refused(door, behind, session):
    for other in (
        Credentials(session.access_key, "another", session.token),
        Credentials(session.access_key, session.secret_key, "another"),
        Credentials(session.access_key, session.secret_key),
        Credentials(KEY.access_key_id, KEY.secret_access_key, session.token),
    ):
        refused(door, behind, *signed(credentials=other))
        refused(door, behind, *signed(auth=S3SigV4QueryAuth, credentials=other))
    emulator("services.sts")._sessions[session.access_key]["Expiration"] = 1
    refused(door, behind, *signed(credentials=session))


def test_a_function_s_session_cannot_be_computed_from_its_names(session):
    config = {"FunctionArn": f"arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:f", "FunctionName": "f", "Role": ROLE}
    foreseeable = hashlib.sha256(f"{config['FunctionArn']}:{ROLE}".encode()).hexdigest()
    credentials = iam._by_function()
    given = credentials(config)
    assert credentials(config) == given
    assert iam._by_function()(config) != given
    assert foreseeable[:16].upper() not in given["AWS_ACCESS_KEY_ID"]
