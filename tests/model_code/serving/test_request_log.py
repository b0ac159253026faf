"""The identity before log lines: what it repeats of a request, and that requests at the same time keep theirs apart."""

from __future__ import annotations

import asyncio
import hashlib
import logging

import pytest

from model_code.serving.request_log import RequestFormatter, current_request

UUID = "0f9bb6f1-2a5d-4d5b-9b1e-0c8f9f6a7e11"


def line(text: str) -> str:
    return RequestFormatter().format(logging.LogRecord("any", logging.INFO, "", 0, text, None, None))


def digits(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


def test_outside_of_a_request_a_line_is_its_message() -> None:
    assert line("listening") == "listening"
    with current_request(UUID):
        pass
    assert line("listening") == "listening"


def test_every_line_of_a_message_is_marked() -> None:
    with current_request("") as identity:
        identity.content_is(b"body")
        assert line("a\nb") == f"[content {digits(b'body')}] a\n[content {digits(b'body')}] b"


@pytest.mark.parametrize("inference_id", ["", "Jane^Doe", f"{UUID}\nJane", f"Jane {UUID}", UUID.replace("-", "")])
def test_an_id_that_is_no_uuid_is_not_repeated(inference_id: str) -> None:
    with current_request(inference_id):
        assert line("a") == "[content not read] a"


def test_requests_at_the_same_time_keep_their_identities() -> None:
    async def one(body: bytes) -> str:
        with current_request(UUID) as identity:
            await asyncio.sleep(0)
            identity.content_is(body)
            await asyncio.sleep(0)
            return line("a")

    async def both() -> list[str]:
        return await asyncio.gather(one(b"1"), one(b"2"))

    assert asyncio.run(both()) == [f"[content {digits(body)}, request {UUID}] a" for body in (b"1", b"2")]
