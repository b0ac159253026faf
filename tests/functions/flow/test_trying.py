"""Tries of a batch, and of a row alone: counted before they are made, and taken back if AWS's trouble ended them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from functions.domain.batch import Batch, BatchStatus
from functions.domain.errors import FailureCode
from functions.domain.row import Row, Status, timestamp
from functions.flow.collecting import ROW_TRIES
from functions.flow.settling import Settling
from functions.flow.trying import MOST_TRIES, TOGETHER_TRIES, TROUBLE_SECONDS
from tests.fakes.minutes import Killed, Minutes, arrived, by_id, on_reading_outputs
from tests.fakes.wire import client_error
from tests.fakes.world import World, answer


def test_passing_trouble_costs_no_upload_its_answer_for_a_day_and_loses_no_message() -> None:
    world, ids = arrived(3)
    on_reading_outputs(world, {ids[0]}, lambda: client_error("AccessDenied"))
    minutes = Minutes(world)
    minutes.run(TROUBLE_SECONDS // 60 - 60)
    rows = by_id(world)
    assert rows[ids[0]].status == Status.BATCHED
    assert {rows[one].status for one in ids[1:]} == {Status.COMPLETED}
    world.s3.reading = lambda _key: None
    minutes.run(5)
    assert {row.status for row in world.rows()} == {Status.COMPLETED}


def test_trouble_that_lasts_for_days_ends_too() -> None:
    world, ids = arrived(3)
    on_reading_outputs(world, {ids[0]}, lambda: client_error("AccessDenied"))
    Minutes(world).run(TROUBLE_SECONDS // 60 + 60)
    rows = by_id(world)
    assert (rows[ids[0]].status, rows[ids[0]].code) == (Status.FAILED, FailureCode.NOT_COLLECTED)
    assert world.batches.holders() == {}


def test_trouble_takes_back_the_try_that_it_ended() -> None:
    world, ids = arrived(3)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), lambda: client_error("SlowDown", "GetObject"))
    for _ in range(10):
        with pytest.raises(ClientError, match="SlowDown"):
            world.collecting.collect(name)
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert batch.tries == 0


def test_a_batch_counts_a_try_before_it_is_made() -> None:
    world, ids = arrived(1)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), Killed)
    with pytest.raises(Killed):
        world.collecting.collect(name)
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert (batch.tries, batch.status) == (1, BatchStatus.SUBMITTED)
    assert batch.tries < MOST_TRIES


def alone(count: int) -> tuple[World, list[str], str]:
    """Return a batch that has failed as a whole."""
    world, ids = arrived(count)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), RuntimeError)
    for _ in range(TOGETHER_TRIES):
        with pytest.raises(RuntimeError):
            world.collecting.collect(name)
    return world, ids, name


def test_a_batch_that_failed_as_a_whole_is_left_to_the_sweep_and_its_message_is_done() -> None:
    world, _, name = alone(3)
    world.s3.reading = lambda _key: None
    assert world.collecting.collect(name) is None
    assert list(world.batches.holders().values()) == [name.removeprefix("wetread-")]
    world.wait(200)
    world.sweeping.run()
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_row_that_another_sweep_tries_is_left_to_it_and_the_batch_stays_open() -> None:
    world, _, name = alone(1)

    def reading(key: str) -> None:
        if key.startswith("outputs/"):
            world.s3.reading = lambda _key: None
            other = world.collecting.collect_alone(name)
            assert other
            assert other.completed == 0
            assert world.batches.holders()

    world.s3.reading = reading
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 1
    assert world.batches.holders() == {}


def last_try_ends_in(error: BaseException) -> tuple[World, str, Status]:
    """Let a collector make the last try of a row, and another see it; return the world, the job, what the other saw."""
    world, (row,), name = alone(1)
    for _ in range(ROW_TRIES - 1):
        on_reading_outputs(world, {row}, lambda: ValueError("each time"))
        with pytest.raises(ValueError, match="each time"):
            world.collecting.collect_alone(name)
        world.wait(60)

    def reading(key: str) -> None:
        if key.startswith("outputs/"):
            world.s3.reading = lambda _key: None
            world.collecting.collect_alone(name)
            raise error

    world.s3.reading = reading
    with pytest.raises(type(error)):
        world.collecting.collect_alone(name)
    return world, name, by_id(world)[row].status


@pytest.mark.parametrize(
    "error", [ValueError("each time"), client_error("SlowDown", "GetObject")], ids=["its own", "AWS's"]
)
def test_a_row_is_not_given_up_while_another_function_makes_its_last_try(error: Exception) -> None:
    world, name, seen = last_try_ends_in(error)
    assert seen == Status.BATCHED
    world.wait(60)
    world.collecting.collect_alone(name)
    assert world.rows()[0].status == (Status.FAILED if isinstance(error, ValueError) else Status.COMPLETED)


def test_a_row_is_not_given_up_whose_last_try_is_taken_back_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    world, (row,), name = alone(1)
    for tries in range(ROW_TRIES):
        before = by_id(world)[row]
        assert world.index.note_try(before, before.batch_id or "", timestamp(world.time), "9999")
        last = replace(before, collect_tries=tries), timestamp(world.time)
    world.wait(60)
    give_up = Settling.give_up

    def after_it_is_taken_back(settling: Settling, given_up: Row, batch: Batch) -> Status | None:
        world.index.forgive_try(last[0], last[0].batch_id or "", last[1])
        return give_up(settling, given_up, batch)

    monkeypatch.setattr(Settling, "give_up", after_it_is_taken_back)
    world.collecting.collect_alone(name)
    assert by_id(world)[row].status == Status.BATCHED
    assert by_id(world)[row].collect_tries == ROW_TRIES - 1


def test_rows_that_take_too_long_one_by_one_are_left_to_the_next_sweep() -> None:
    world, _, name = alone(5)
    world.s3.reading = lambda key: world.wait(25) if key.startswith("outputs/") else None
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 3
    world.wait(60)
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 2
    assert world.batches.holders() == {}


def test_a_row_that_was_settled_alone_or_requeued_has_no_tries_left_on_it() -> None:
    world, ids, name = alone(2)
    world.s3.objects.pop(next((bucket, key) for bucket, key in world.s3.objects if f"{ids[0]}.dcm.out" in key))
    world.s3.reading = lambda _key: None
    world.collecting.collect_alone(name)
    assert {row.status for row in world.rows()} == {Status.COMPLETED, Status.PENDING}
    assert {(row.collect_tries, row.collect_tried_at) for row in world.rows()} == {(None, None)}
