"""Batches full of objects that cost too much: every neighbour is ingested, every such object has a row, in time.

The limits are the deployed ones. The objects cost more than the readers' bounds allow, so that this holds without the
bounds.
"""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from functions import ingest
from functions.domain.errors import RefusalCode
from functions.domain.row import Status
from tests.fakes.deployed import DEPLOYED, WITHIN
from tests.fakes.dicom import ct
from tests.fakes.lambda_queue import Cost, LambdaQueue
from tests.fakes.world import World

# A killed function has no metrics to write, and its library warns about that.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
SLOW = Cost(seconds=3.0)  # two million elements, each stepped over
DEADLY = Cost(seconds=1000.0)
LARGE = Cost(mebibytes=250.0)  # ten at once are too many
HUGE = Cost(mebibytes=3000.0)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> LambdaQueue:
    world = World()
    monkeypatch.setattr(ingest, "_parts", lambda: (world.ingesting, world.ticks))
    monkeypatch.setattr(ingest, "WORKERS", 1)
    monkeypatch.setattr("functions.wiring.now", world.clock)
    return LambdaQueue(world, DEPLOYED, ingest.handler)


def mixed(queue: LambdaQueue, cost: Cost, bombs: int, good: int) -> None:
    """Return bombs and good objects in turn, so that each batch has some of both."""
    names = ["bomb"] * bombs + ["good"] * good
    for number, name in enumerate(names[number * 7 % len(names)] for number in range(len(names))):
        body = b"bomb" if name == "bomb" else ct(SOPInstanceUID=f"1.2.{number}")
        queue.upload(f"{name}-{number}", body, cost if name == "bomb" else None)


def statuses(queue: LambdaQueue, name: str) -> Counter[tuple[Status, str | None]]:
    return Counter((row.status, row.code) for row in queue.world.rows() if row.key.startswith(name))


@pytest.mark.parametrize(
    ("cost", "bombs", "good"),
    [(SLOW, 16, 34), (SLOW, 20, 30), (LARGE, 48, 3), (SLOW, 200, 2), (LARGE, 20, 31)],
)
def test_objects_that_fit_a_function_only_alone_are_read_alone(
    queue: LambdaQueue, cost: Cost, bombs: int, good: int
) -> None:
    mixed(queue, cost, bombs, good)
    queue.run(WITHIN)
    assert statuses(queue, "good") == {(Status.PENDING, None): good}
    assert statuses(queue, "bomb") == {(Status.REFUSED, RefusalCode.NOT_DICOM): bombs}
    assert queue.dead == []


@pytest.mark.parametrize(
    ("cost", "bombs", "good"), [(DEADLY, 16, 34), (DEADLY, 20, 30), (HUGE, 48, 3), (DEADLY, 50, 1), (HUGE, 1, 49)]
)
def test_objects_that_fit_no_function_are_refused_unread(queue: LambdaQueue, cost: Cost, bombs: int, good: int) -> None:
    mixed(queue, cost, bombs, good)
    queue.run(WITHIN)
    assert queue.kills
    assert statuses(queue, "good") == {(Status.PENDING, None): good}
    assert statuses(queue, "bomb") == {(Status.REFUSED, RefusalCode.INGEST_FAILED): bombs}
    assert queue.dead == []


def test_neighbours_wait_for_one_kill_and_no_more(queue: LambdaQueue) -> None:
    mixed(queue, DEADLY, 20, 30)
    queue.run(DEPLOYED.visibility + DEPLOYED.seconds)
    assert statuses(queue, "good") == {(Status.PENDING, None): 30}


def test_uploads_that_arrive_meanwhile_are_ingested_at_once(queue: LambdaQueue) -> None:
    mixed(queue, DEADLY, 20, 0)
    queue.run(1)
    for number in range(10):
        queue.upload(f"late-{number}", ct(SOPInstanceUID=f"1.3.{number}"))
    queue.run(1)
    assert statuses(queue, "late") == {(Status.PENDING, None): 10}


def test_all_kinds_at_once(queue: LambdaQueue) -> None:
    kinds = itertools.cycle((SLOW, DEADLY, LARGE, HUGE, None, None))
    for number, cost in zip(range(120), kinds, strict=False):
        body = ct(SOPInstanceUID=f"1.2.{number}") if cost is None else b"bomb"
        queue.upload(f"{'good' if cost is None else 'bomb'}-{number}", body, cost)
    queue.run(WITHIN)
    assert statuses(queue, "good") == {(Status.PENDING, None): 40}
    assert sum(statuses(queue, "bomb").values()) == 80
    assert {status for status, _ in statuses(queue, "bomb")} == {Status.REFUSED}
    assert queue.dead == []
