"""The pointer moves conditionally, with its history; a withdrawal comes with the move or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.domain.champion import Champion, Promotion, Withdrawal
from tests.fakes.wire import client_error
from tests.fakes.world import World

FIRST = Champion(
    model_name="wetread-1-abc",
    model_package="wetread/1",
    model_package_arn="arn:aws:sagemaker:eu-west-1:111111111111:model-package/wetread/1",
    artifact_sha256="ab" * 32,
    weights_sha256="cd" * 32,
    promoted_at="2026-11-23T00:00:00.000Z",
    promoted_by="arn:aws:iam::111111111111:user/kim",
)
SECOND = replace(FIRST, model_package="wetread/2", promoted_at="2026-11-23T01:00:00.000Z", previous=FIRST.model_package)
BACK = replace(FIRST, promoted_at="2026-11-23T02:00:00.000Z")
WITHDRAWAL = Withdrawal(
    model_package="wetread/2",
    withdrawn_at="2026-11-23T02:00:00.000Z",
    withdrawn_by="arn:aws:sts::111111111111:assumed-role/Approver/lee",
    reason="no",
)


def test_a_move_writes_the_history() -> None:
    champions = World().champions
    assert champions.get() is None
    assert champions.promotion("wetread/1") is None
    assert champions.move(FIRST, None)
    assert champions.move(SECOND, FIRST)
    assert champions.get() == SECOND
    assert champions.promotion("wetread/1") == Promotion(
        model_package="wetread/1", promoted_at=FIRST.promoted_at, promoted_by=FIRST.promoted_by, previous=""
    )
    assert champions.promotion("wetread/2") == Promotion(
        model_package="wetread/2",
        promoted_at=SECOND.promoted_at,
        promoted_by=SECOND.promoted_by,
        previous="wetread/1",
    )


@pytest.mark.parametrize("current", [None, replace(FIRST, promoted_at="2026-01-01T00:00:00.000Z")])
def test_a_move_from_another_than_the_champion_changes_nothing(current: Champion | None) -> None:
    champions = World().champions
    champions.move(FIRST, None)
    assert not champions.move(SECOND, current, WITHDRAWAL)
    assert champions.get() == FIRST
    assert champions.promotion("wetread/2") is None
    assert (champions.withdrawal("wetread/2"), champions.unmarked()) == (None, [])


def test_a_withdrawal_lasts_until_the_version_is_champion_again() -> None:
    champions = World().champions
    champions.move(FIRST, None)
    champions.move(SECOND, FIRST)
    assert champions.move(BACK, SECOND, WITHDRAWAL)
    assert (champions.withdrawal("wetread/2"), champions.unmarked()) == (WITHDRAWAL, ["wetread/2"])
    assert champions.move(replace(SECOND, promoted_at="2026-11-23T03:00:00.000Z"), BACK)
    assert (champions.withdrawal("wetread/2"), champions.unmarked()) == (None, [])


def test_a_marked_version_is_no_longer_listed_as_unmarked() -> None:
    champions = World().champions
    champions.move(FIRST, None)
    champions.move(SECOND, FIRST)
    champions.move(BACK, SECOND, WITHDRAWAL)
    champions.all_marked("wetread/2")
    assert champions.unmarked() == []
    assert champions.withdrawal("wetread/2") == WITHDRAWAL


def conflicting(times: int, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose first transactions conflict with another writer's."""
    world, left = World(), iter(range(times))
    write = world.dynamodb.transact_write_items
    monkeypatch.setattr("functions.aws.champion.time.sleep", lambda _seconds: None)

    def sometimes(**request: Any) -> None:
        if next(left, None) is not None:
            reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in request["TransactItems"][1:])]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)
        write(**request)

    monkeypatch.setattr(world.dynamodb, "transact_write_items", sometimes)
    return world


def test_a_conflict_is_not_another_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    world = conflicting(2, monkeypatch)
    assert world.champions.move(FIRST, None)
    assert world.champions.get() == FIRST


def test_a_conflict_that_stays_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientError):
        conflicting(9, monkeypatch).champions.move(FIRST, None)


def test_the_caller_that_sends_a_withdrawn_versions_uploads_to_be_read_again_is_recorded() -> None:
    champions = World().champions
    champions.move(FIRST, None)
    champions.move(SECOND, FIRST)
    champions.move(BACK, SECOND, WITHDRAWAL)
    champions.note_rescoring("wetread/2", "2026-11-23T03:00:00.000Z", "arn:aws:iam::111111111111:user/kim")
    noted = champions.withdrawal("wetread/2")
    assert noted == replace(
        WITHDRAWAL, rescored_at="2026-11-23T03:00:00.000Z", rescored_by="arn:aws:iam::111111111111:user/kim"
    )


def test_a_version_that_is_no_longer_withdrawn_is_not_recorded_as_rescored() -> None:
    champions = World().champions
    champions.move(FIRST, None)
    champions.note_rescoring("wetread/1", "2026-11-23T03:00:00.000Z", "arn:aws:iam::111111111111:user/kim")
    assert champions.withdrawal("wetread/1") is None


def test_items_from_before_callers_and_weights_were_recorded_are_read() -> None:
    world = World()
    world.champions.move(FIRST, None)
    world.champions.move(SECOND, FIRST)
    world.champions.move(BACK, SECOND, WITHDRAWAL)
    for item in world.dynamodb.tables["batches"].values():
        for name in ("WeightsSHA256", "PromotedBy", "WithdrawnBy"):
            item.pop(name, None)
    champion, withdrawal = world.champions.get(), world.champions.withdrawal("wetread/2")
    promotion = world.champions.promotion("wetread/1")
    assert champion == replace(BACK, weights_sha256="", promoted_by="")
    assert withdrawal == replace(WITHDRAWAL, withdrawn_by="")
    assert promotion
    assert promotion.promoted_by == ""
