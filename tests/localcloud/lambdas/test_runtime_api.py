"""A Runtime API knows its own environment by a secret; everybody else gets nothing and changes nothing."""

from __future__ import annotations

import contextlib
import http.client

import pytest

from localcloud.lambdas.runtime_api import Invocation, Outcome, RuntimeApi

VERSION = "/2018-06-01/runtime"


@pytest.fixture
def api():
    with contextlib.closing(RuntimeApi()) as made:
        yield made


def asked(api, method, path, body=None):
    """The status of one request to a path of the server."""
    connection = http.client.HTTPConnection(api.address.partition("/")[0], timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("prefix", ["", "/", "/wrong", "/" + "A" * 43])
def test_an_invocation_is_not_handed_to_a_caller_without_the_secret(api, prefix):
    invocation = Invocation("an-id", b"an event", "arn", 0)
    api.submit(invocation)
    assert asked(api, "GET", f"{prefix}{VERSION}/invocation/next") == (403, b"")
    secret = api.address.partition("/")[2]
    assert asked(api, "GET", f"/{secret}{VERSION}/invocation/next") == (200, b"an event")


@pytest.mark.parametrize("endpoint", ["invocation/an-id/response", "invocation/an-id/error", "init/error"])
def test_an_answer_without_the_secret_does_not_count(api, endpoint):
    invocation = Invocation("an-id", b"an event", "arn", 0)
    api.submit(invocation)
    assert asked(api, "POST", f"{VERSION}/{endpoint}", b'"forged"')[0] == 403
    assert not invocation.outcome.done()
    assert not api.initialised.done()
    secret = api.address.partition("/")[2]
    assert asked(api, "POST", f"/{secret}{VERSION}/invocation/an-id/response", b'"true"')[0] == 202
    assert invocation.outcome.result(5) == Outcome(b'"true"', failed=False)
