"""Closing in several invocations at once: each takes some shards of the open studies."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.aws.closers import shards_in
from functions.aws.shards import SHARDS
from functions.names import Metric
from tests.fakes.reading_room import QUIET, ReadingRoom

DUE_EACH = 5
STUDIES = [f"1.2.840.99.{number}" for number in range(1, 25)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> ReadingRoom:
    """Return a room in which many studies are due."""
    monkeypatch.setattr("functions.flow.sharing.DUE_EACH", DUE_EACH)
    room = ReadingRoom()
    send(room, STUDIES)
    return room


def send(room: ReadingRoom, studies: list[str]) -> None:
    room.deliver(*(room.send(1, study=study, series=f"{study}.1") for study in studies))
    room.read()
    room.wait(QUIET)


def closed(room: ReadingRoom) -> set[str]:
    return {study for study in STUDIES if room.revisions(study)}


def close_shares(room: ReadingRoom) -> None:
    """Run what was invoked, as Lambda does."""
    while room.functions.shares:
        room.concluding.run(shards_in(room.functions.shares.pop()))


def test_few_studies_are_closed_by_the_sweep_alone() -> None:
    room = ReadingRoom()
    send(room, STUDIES)
    assert room.sharing.run().revisions == len(STUDIES)
    assert room.functions.shares == []


def test_many_studies_are_closed_by_several_invocations_each_by_one(room: ReadingRoom) -> None:
    own = room.sharing.run()
    assert 0 < own.revisions < len(STUDIES)
    shares = [shards_in(order) or frozenset() for order in room.functions.shares]
    assert len(shares) == 3
    assert len(frozenset().union(*shares)) == sum(map(len, shares)) == SHARDS * 3 // 4
    of_shares = [room.concluding.run(share).revisions for share in shares]
    assert own.revisions + sum(of_shares) == len(STUDIES)
    assert closed(room) == set(STUDIES)


def test_no_more_invocations_close_than_the_stage_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.flow.sharing.DUE_EACH", 1)
    room = ReadingRoom(closers=3)
    send(room, STUDIES)
    room.sharing.run()
    assert len(room.functions.shares) == 2


def test_studies_that_are_not_due_call_nobody(room: ReadingRoom) -> None:
    room.sharing.run()
    close_shares(room)
    room.deliver(*(room.send(2, study=study, series=f"{study}.1") for study in STUDIES))
    room.sharing.run()
    assert room.functions.shares == []


def test_a_share_that_is_lost_is_closed_after_the_next_sweep(room: ReadingRoom) -> None:
    room.sharing.run()
    room.functions.shares.clear()
    assert closed(room) != set(STUDIES)
    room.wait(60)
    room.sharing.run()
    close_shares(room)
    assert closed(room) == set(STUDIES)


def test_where_lambda_drops_every_share_the_sweeps_themselves_close_all_of_them_in_turn(room: ReadingRoom) -> None:
    """The account has no room for hours, say, and only the sweep gets some."""
    for _ in range(2 * room.sharing.most):
        room.sharing.run()
        room.functions.shares.clear()
        room.wait(60)
    assert closed(room) == set(STUDIES)


def test_a_share_that_comes_twice_and_beside_the_next_sweep_makes_no_second_revision(room: ReadingRoom) -> None:
    room.sharing.run()
    room.functions.shares *= 2
    room.wait(60)
    room.sharing.run()
    close_shares(room)
    assert {len(room.revisions(study)) for study in STUDIES} == {1}


def test_a_share_that_lambda_does_not_take_is_closed_by_the_sweep_which_fails(room: ReadingRoom) -> None:
    room.functions.refusing = "TooManyRequestsException"
    concluded = room.sharing.run()
    assert (concluded.failures, closed(room)) == (3, set(STUDIES))


def test_after_a_share_that_lambda_does_not_take_no_other_is_offered(room: ReadingRoom) -> None:
    """Each may wait for an answer that never comes, in a VPC without a way to Lambda, and the studies with it."""
    offered = []

    def invoke(**request: object) -> None:
        offered.append(request)
        raise EndpointConnectionError(endpoint_url="https://lambda")

    room.functions.invoke = invoke  # type: ignore[method-assign]
    concluded = room.sharing.run()
    assert (len(offered), concluded.failures, closed(room)) == (1, 3, set(STUDIES))


def test_the_age_of_the_oldest_open_study_is_that_of_all(room: ReadingRoom) -> None:
    oldest = room.sharing.run().metrics()[Metric.OLDEST_OPEN_STUDY_SECONDS]
    assert oldest == QUIET


def test_a_share_announces_what_a_dead_invocation_has_closed(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(type(room.concluding.announcing), "announce", lambda *_: None)
        room.concluding.run()
    shards = frozenset(range(SHARDS // 2))
    room.concluding.run(shards)
    some = len(room.events.put)
    assert 0 < some < len(STUDIES)
    room.concluding.run(frozenset(range(SHARDS)) - shards)
    assert len(room.events.put) == len(STUDIES)


def test_studies_without_a_shard_are_closed_by_one_share_each(room: ReadingRoom) -> None:
    """An earlier release wrote them."""
    for name, item in room.dynamodb.tables["studies"].items():
        if "Open" in item:
            room.dynamodb.tables["studies"][name] = item | {"State": {"S": "Open"}, "Open": {"S": "open"}}
    halves = [frozenset(range(SHARDS // 2)), frozenset(range(SHARDS // 2, SHARDS))]
    seen = [{one.study_instance_uid for one in room.concluding.waiting(half)} for half in halves]
    assert seen[0] | seen[1] == set(STUDIES)
    assert not seen[0] & seen[1]
