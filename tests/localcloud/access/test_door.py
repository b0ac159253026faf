"""The door lets pass what its key or a session has signed, now, and not from a web page, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import ministack
import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.access import signatures
from localcloud.access.door import Door
from localcloud.access.key import HEALTH_PATH, Key
from localcloud.account import ACCOUNT_ID
from localcloud.patches import iam
from localcloud.patches.patching import emulator

PORT = 4566
HOME = f"127.0.0.1:{PORT}"
KEY = Key("AKIA0123456789ABCDEF", "the home's secret")
OWN = Credentials(KEY.access_key_id, KEY.secret_access_key)
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/reader"


class Behind:
    """Stands in for the emulator, and keeps the requests that reach it."""

    def __init__(self):
        self.bodies = []

    async def __call__(self, scope, receive, send):
        message = await receive()
        self.bodies.append(message["body"])
        shared = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-allow-headers", b"*"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": shared})
        await send({"type": "http.response.body", "body": b"passed"})


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def door(behind):
    return Door(behind, KEY, PORT)


def signed(
    method="GET",
    path="/bucket/key",
    body=b"",
    *,
    auth=S3SigV4Auth,
    service="s3",
    credentials=OWN,
    expires=60,
    **headers,
):
    """Return a request signed by botocore, as (method, target, headers, body)."""
    in_query = auth in (SigV4QueryAuth, S3SigV4QueryAuth, HmacV1QueryAuth)
    request = AWSRequest(method, f"http://{HOME}{path}", data=b"" if in_query else body, headers=headers)
    extra = {"expires": expires} if auth in (SigV4QueryAuth, S3SigV4QueryAuth) else {}
    signer = (
        auth(credentials, expires=60) if auth is HmacV1QueryAuth else auth(credentials, service, "us-east-1", **extra)
    )
    signer.add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    return method, target, {"Host": HOME, **dict(prepared.headers)}, body


def sent(door, method, target, headers, body=b""):
    """Return status, headers and body of the door's answer; header values may be lists."""
    path, _, query = target.partition("?")
    lines = [
        (name.lower().encode(), one if isinstance(one, bytes) else one.encode())
        for name, value in headers.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path.replace("%5F", "_"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": lines,
    }
    parts = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    answers = []

    async def receive():
        return parts.pop(0)

    async def send(message):
        answers.append(message)

    asyncio.run(door(scope, receive, send))
    start, *rest = answers
    return start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest)


def refused(door, behind, *request):
    """Whether the door refused, with a word for it, and let nothing through."""
    status, _headers, body = sent(door, *request)
    assert behind.bodies == []
    assert status in (400, 403), status
    return body.decode()


PASSING = {
    "GET /bucket/key": signed,
    "PUT /bucket/key": lambda: signed("PUT", body=b"an object"),
    "PUT a key to be escaped": lambda: signed("PUT", "/bucket/a%20b/%C3%BC+/c", b"x"),
    "GET with a query": lambda: signed("GET", "/bucket?list-type=2&prefix=a%2Fb&delimiter="),
    "POST to DynamoDB": lambda: signed(
        "POST",
        "/",
        b'{"TableName":"t"}',
        auth=SigV4Auth,
        service="dynamodb",
        **{"X-Amz-Target": "DynamoDB.GetItem"},
    ),
    "POST to STS": lambda: signed("POST", "/", b"Action=GetCallerIdentity", auth=SigV4Auth, service="sts"),
    "POST to Lambda": lambda: signed(
        "POST", "/2015-03-31/functions/a%3Ab/invocations", b"{}", auth=SigV4Auth, service="lambda"
    ),
    "GET by a URL": lambda: signed(auth=S3SigV4QueryAuth),
    "PUT by a URL": lambda: signed("PUT", body=b"by a URL", auth=S3SigV4QueryAuth),
    "GET STS by a URL": lambda: signed("GET", "/?Action=GetCallerIdentity", auth=SigV4QueryAuth, service="sts"),
}
"""Signed when they are sent: a signature is valid for five minutes, and the whole suite takes longer."""


@pytest.mark.parametrize("name", PASSING)
def test_what_botocore_signs_with_the_key_passes_with_its_body(door, behind, name):
    request_ = PASSING[name]()
    assert sent(door, *request_)[0] == 200
    assert behind.bodies == [request_[3]]


def test_no_answer_may_be_read_by_a_page_of_another_origin(door):
    _status, headers, _body = sent(door, *signed())
    assert [name for name in headers if name.lower().startswith(b"access-control")] == []
    assert headers[b"etag"] == b"1"


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{HOME}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Mode": "navigate"},
        {"sec-fetch-dest": "document"},
    ],
    ids=str,
)
def test_what_a_browser_sends_is_refused_even_when_it_is_signed(door, behind, header):
    for method, target, headers, body in (
        signed(),
        signed(auth=S3SigV4QueryAuth),
        ("GET", HEALTH_PATH, {"Host": HOME}, b""),
    ):
        assert "Web pages" in refused(door, behind, method, target, {**headers, **header}, body)


def test_a_form_that_a_page_posts_at_top_level_changes_nothing(door, behind):
    form = {"Host": HOME, "Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/", "/_ministack/reset", "/_ministack/config"):
        refused(door, behind, "POST", path, form, b"Action=ListUsers&Version=2010-05-08")


def test_a_preflight_gets_no_leave(door, behind):
    status, headers, _body = sent(
        door, "OPTIONS", "/bucket/key", {"Host": HOME, "Access-Control-Request-Method": "PUT"}
    )
    assert status == 403
    assert not any(name.startswith(b"access-control") for name in headers)


@pytest.mark.parametrize(
    "host",
    [
        f"rebound.example:{PORT}",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:80",
        f"0.0.0.0:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"bucket.localhost:{PORT}",
        f"127.0.0.1:{PORT}, evil.example",
        f"127.0.0.1:{PORT}@evil.example",
        "",
        [HOME, f"evil.example:{PORT}"],
        [f"evil.example:{PORT}", HOME],
    ],
    ids=str,
)
def test_another_name_of_this_server_is_refused_as_dns_rebinding_uses_one(door, behind, host):
    method, target, headers, body = signed()
    refused(door, behind, method, target, {**headers, "Host": host}, body)
    refused(door, behind, "GET", f"{HEALTH_PATH}?challenge={'0' * 32}", {"Host": host})


def test_localhost_is_a_name_of_this_server(door):
    request = AWSRequest("GET", f"http://localhost:{PORT}/bucket")
    S3SigV4Auth(OWN, "s3", "us-east-1").add_auth(request)
    assert (
        sent(door, "GET", "/bucket", {"Host": f"LOCALHOST:{PORT}", **dict(request.headers)})[0] == 403
    )  # not as signed
    assert sent(door, "GET", "/bucket", {"Host": f"localhost:{PORT}", **dict(request.headers)})[0] == 200


def paths_of_the_emulator():
    """Return every path that the emulator's source contains as text."""
    source = (Path(ministack.__file__).parent / "app.py").read_text()
    return sorted(set(re.findall(r'"(/[a-zA-Z0-9_.\-/]*)"', source)))


@pytest.mark.parametrize("path", ["/", "/bucket", "/bucket/key", *paths_of_the_emulator()])
def test_nothing_answers_without_a_signature(door, behind, path):
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        refused(door, behind, method, path, {"Host": HOME}, b"{}")


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset",
        "/_ministack/config",
        "/_ministack/sqs/messages",
        "/_ministack/lambda-code/ingest",
        "/_ministack/cfn-response/token",
        "/_ministack/rds/iam-auth",
        "/_localstack/health",
        "/_aws/execute-api/id/stage",
        "/%5Fministack/reset",
        "//_ministack/reset",
    ],
)
def test_the_administration_of_the_emulator_is_closed_even_to_the_key(door, behind, path):
    for method in ("GET", "POST", "PUT"):
        assert "no such path" in refused(door, behind, *signed(method, path))


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


def test_a_challenge_is_answered_by_the_holder_of_the_key_and_shows_nothing_else(door):
    challenge = secrets.token_hex(16)
    status, _headers, body = sent(door, "GET", f"{HEALTH_PATH}?challenge={challenge}", {"Host": HOME})
    assert (status, json.loads(body)) == (200, {"proof": KEY.proof(challenge)})
    assert KEY.proof(challenge) != Key("AKIA", "another").proof(challenge)


@pytest.mark.parametrize(
    "query", ["", "?challenge=", "?challenge=short", f"?challenge={'g' * 32}", f"?challenge={'0' * 33}"]
)
def test_a_challenge_has_a_form(door, behind, query):
    refused(door, behind, "GET", HEALTH_PATH + query, {"Host": HOME})


def test_a_websocket_is_closed_at_once(door, behind):
    answers = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        answers.append(message)

    asyncio.run(door({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert answers == [{"type": "websocket.close", "code": 1008}]
    assert behind.bodies == []


def test_a_sender_that_leaves_gets_no_answer_and_nothing_passes(door, behind):
    method, target, headers, _body = signed("PUT", body=b"whole")
    answers = []
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "raw_path": target.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in headers.items()],
    }

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    asyncio.run(door(scope, receive, send))
    assert (answers, behind.bodies) == ([], [])
