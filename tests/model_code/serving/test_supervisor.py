"""The supervisor of the model's process: an object that ends or holds it has no effect on its neighbours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from model_code.errors import ModelCodeError
from model_code.serving import supervisor
from model_code.serving.supervisor import Child, Reply, Request, Supervisor
from tests.model_code.serving import obedient

SECONDS = 5.0  # of an answer: far more than any of these take, unless it is held


@asynccontextmanager
async def running(folder: Path, seconds: float = SECONDS) -> AsyncIterator[tuple[Supervisor, asyncio.Task[None]]]:
    """Yield a supervisor of obedient processes, which all end afterwards; raises what ends the supervisor."""
    command = [sys.executable, obedient.__file__, str(folder)]
    watched = Supervisor(command, folder, seconds)
    await watched.start()
    keeping = asyncio.create_task(watched.keep_running())
    try:
        yield watched, keeping
    finally:
        keeping.cancel()
        await watched.stop()
        with suppress(asyncio.CancelledError):
            await keeping


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def request(words: str) -> Request:
    return Request("application/dicom", "application/json", words.encode())


def starts(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "starts").read_text().split()]


def outcomes(folder: Path, *words: str, seconds: float = SECONDS) -> list[str]:
    """Return the outcome of requests that are posted together: ``fine``, or the code of an error."""

    async def post() -> list[Reply]:
        async with running(folder, seconds) as (watched, keeping):
            answers = asyncio.gather(*(watched.answer(request(one)) for one in words))
            await asyncio.wait({answers, keeping}, return_when=asyncio.FIRST_COMPLETED)
            return await answers if answers.done() else []

    replies = asyncio.run(post())
    assert all(reply.status == 200 for reply in replies)
    found = []
    for reply, one in zip(replies, words, strict=True):
        if reply.body == one.encode():
            found.append("fine")
            continue
        document = json.loads(reply.body)
        assert document["ContentSHA256"] == hashlib.sha256(one.encode()).hexdigest()
        found.append(document["Error"]["Code"])
    return found


@pytest.mark.parametrize("way", ["end", "exit", "babble", "fork"])
def test_an_object_that_ends_the_process_alone_twice_is_answered_with_an_error(tmp_path: Path, way: str) -> None:
    assert outcomes(tmp_path, way) == ["KillsContainer"]
    assert len(starts(tmp_path)) == 3


@pytest.mark.parametrize("way", ["hold", "stop"])
def test_an_object_that_holds_the_process_is_answered_with_an_error(tmp_path: Path, way: str) -> None:
    assert outcomes(tmp_path, way, seconds=1.0) == ["HoldsContainer"]


def test_neighbours_of_objects_that_end_or_hold_the_process_are_answered(tmp_path: Path) -> None:
    words = [f"slow {number}" for number in range(5)]
    hostile = ["slow end", "slow end too", "hold"]
    found = outcomes(tmp_path, *words, *hostile, seconds=3.0)
    assert found == ["fine"] * 5 + ["KillsContainer", "KillsContainer", "HoldsContainer"]
    assert len(starts(tmp_path)) <= 1 + 2 * len(hostile)


def test_an_object_that_was_there_when_the_process_ended_once_is_answered(tmp_path: Path) -> None:
    assert outcomes(tmp_path, "once first end", "slow 1", "slow 2") == ["fine"] * 3


def test_two_ends_in_company_are_no_verdict(tmp_path: Path) -> None:
    killers = [f"slow end {number}" for number in range(3)]
    assert outcomes(tmp_path, "slow innocent", *killers) == ["fine"] + ["KillsContainer"] * 3


def test_many_objects_that_end_the_process_cost_two_starts_each_at_most(tmp_path: Path) -> None:
    words = [f"{'end' if number % 3 == 0 else 'slow'} {number}" for number in range(12)]
    found = outcomes(tmp_path, *words)
    assert found == ["KillsContainer" if number % 3 == 0 else "fine" for number in range(12)]
    assert len(starts(tmp_path)) <= 1 + 2 * 4


def test_of_objects_that_come_one_after_the_other_all_but_the_first_cost_one_start(tmp_path: Path) -> None:
    async def post() -> None:
        async with running(tmp_path) as (watched, _):
            for number in range(4):
                reply = await watched.answer(request(f"end {number}"))
                assert b"KillsContainer" in reply.body

    asyncio.run(post())
    assert len(starts(tmp_path)) == 1 + 2 + 3


def test_an_end_long_after_the_last_verdict_needs_a_second_one_again(tmp_path: Path) -> None:
    async def post() -> Reply:
        async with running(tmp_path) as (watched, _):
            await watched.answer(request("end"))
            while watched._careful:
                await watched.answer(request("fine"))
            return await watched.answer(request("once later end"))

    assert asyncio.run(post()).body == b"once later end"


def test_the_same_bytes_get_their_verdict_again_without_another_start(tmp_path: Path) -> None:
    async def post() -> tuple[Reply, Reply]:
        async with running(tmp_path) as (watched, _):
            return await watched.answer(request("end")), await watched.answer(request("end"))

    first, again = asyncio.run(post())
    assert first == again
    assert len(starts(tmp_path)) == 3


def test_verdicts_are_remembered_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "REMEMBERED", 2)

    async def post() -> int:
        async with running(tmp_path) as (watched, _):
            for number in range(4):
                await watched.answer(request(f"end {number}"))
            return len(watched._verdicts)

    assert asyncio.run(post()) == 2


def test_a_verdict_names_the_weights_that_collect_demands(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"weights")

    async def post() -> Reply:
        async with running(tmp_path) as (watched, _):
            return await watched.answer(request("end"))

    document = json.loads(asyncio.run(post()).body)
    assert document["Schema"] == "prediction/2"
    assert document["Model"]["WeightsSHA256"] == hashlib.sha256(b"weights").hexdigest()


def test_no_object_is_blamed_by_a_process_that_does_not_survive_a_plain_slice(tmp_path: Path) -> None:
    (tmp_path / "poor").touch()

    with pytest.raises(ModelCodeError, match="ends at a plain slice, too"):
        outcomes(tmp_path, "end")


def test_a_process_that_cannot_be_started_again_ends_the_container(tmp_path: Path) -> None:
    with pytest.raises(ModelCodeError, match="ended with status 3 before it was ready"):
        outcomes(tmp_path, "breaks end")


def test_after_an_end_requests_go_alone_and_later_together_again(tmp_path: Path) -> None:
    async def post() -> tuple[int, int]:
        async with running(tmp_path) as (watched, _):
            await watched.answer(request("once first end"))
            careful = watched._careful
            await asyncio.gather(*(watched.answer(request(f"{number}")) for number in range(careful)))
            return careful, watched._careful

    before, after = asyncio.run(post())
    assert before > 0
    assert after == 0


def test_a_process_without_its_supervisor_ends(tmp_path: Path) -> None:
    async def post() -> None:
        child = await Child.start([sys.executable, obedient.__file__, str(tmp_path)])
        child._writer.close()
        await child._process.wait()

    asyncio.run(post())
    with pytest.raises(ProcessLookupError):
        os.kill(starts(tmp_path)[0], signal.SIGCONT)
