"""The door lets pass what is signed, and nothing from a web page; test_signatures.py has the signatures."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from pathlib import Path

import ministack
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from localcloud.access.key import HEALTH_PATH, Key
from tests.localcloud.access.sending import HOME, KEY, OWN, PORT, refused, sent, signed

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
