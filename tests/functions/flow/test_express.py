"""The express lane: one more way to run a batch, which only adds answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from functions.aws.events import job_ended
from functions.domain.batch import BatchStatus
from functions.domain.lane import END_SECONDS, RUN_SECONDS, START_SECONDS, Lane, lane_of
from functions.domain.row import Status
from functions.names import OUTPUTS
from tests.fakes.dicom import ct
from tests.fakes.world import WORK, World, answer, express_limits
from tests.simulation.actors import Crash
from tests.simulation.express import Environments


def express(uploads: int = 3, **limits: int) -> World:
    world = World(express=express_limits(**limits))
    world.set_champion()
    for number in range(uploads):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
        world.wait(0.01)
    return world


def run(world: World, read: Callable[[bytes], bytes | None] = answer, *, of: int = 0) -> None:
    """Run an order that was invoked; collect what it or Lambda reports."""
    environments = Environments(world)
    try:
        environments.invoke(world.functions.waiting[of], read)
    finally:
        for message in environments.messages:
            world.collecting.collect(*message)


def dies(_body: bytes) -> bytes:
    raise Crash


def record(order: dict[str, Any]) -> str:
    """Return what Lambda sends of an invocation that it drops, since no environment was free for it."""
    return json.dumps(
        {"requestContext": {"requestId": "dropped", "condition": "EventAgeExceeded"}, "requestPayload": order}
    )


def states(world: World) -> set[tuple[Status, str | None]]:
    return {(row.status, lane_of(row)) for row in world.rows()}


def test_a_few_uploads_are_answered_by_one_run_and_their_rows_say_so() -> None:
    world = express()
    (name,) = world.dispatching.run()
    assert [order["Job"] for order in world.functions.waiting] == [name]
    assert states(world) == {(Status.BATCHED, "express")}
    run(world)
    assert states(world) == {(Status.COMPLETED, "express")}
    assert not world.sagemaker.jobs
    assert world.batches.holders() == {}
    assert not [key for _, key in world.s3.objects if key.startswith(OUTPUTS)]


def test_more_than_the_lane_takes_go_into_one_job() -> None:
    world = express(4, express_max=3)
    world.dispatching.run()
    assert len(world.sagemaker.jobs) == 1
    assert states(world) == {(Status.BATCHED, "transform")}


def test_a_run_starts_beside_a_job() -> None:
    world = express(4, express_max=3)
    world.dispatching.run()
    world.ingesting.take(world.upload("lone.dcm", ct()))
    assert len(world.dispatching.run()) == 1
    assert len(world.functions.waiting) == 1


def test_a_run_takes_no_slot_of_the_jobs() -> None:
    world = express(1, express_max=3, express_concurrency=3)
    slots = world.dispatching.limits.slots
    for late in range(2):
        world.dispatching.run()
        world.ingesting.take(world.upload(f"late{late}.dcm", ct(SOPInstanceUID=f"1.3.{late}")))
    world.dispatching.run()
    assert sorted(world.batches.holders()) == [slots, slots + 1, slots + 2]


def test_uploads_wait_for_a_full_lane_but_no_longer_than_for_a_parallel_job() -> None:
    world = express()
    world.dispatching.run()
    world.ingesting.take(world.upload("late.dcm", ct()))
    assert world.dispatching.run() == []
    world.wait(world.dispatching.limits.max_wait_seconds)
    assert len(world.dispatching.run()) == 1
    assert len(world.sagemaker.jobs) == 1


def test_when_the_days_runs_are_used_up_uploads_take_jobs() -> None:
    world = express(express_per_day=1)
    world.dispatching.run()
    run(world)
    world.ingesting.take(world.upload("late.dcm", ct()))
    world.dispatching.run()
    assert len(world.sagemaker.jobs) == 1
    assert world.batches.runs_on(f"{world.time:%Y-%m-%d}") == world.batches.jobs_on(f"{world.time:%Y-%m-%d}") == 1


def test_a_model_with_its_own_script_is_run_by_jobs_alone() -> None:
    world = express()
    world.set_champion("wetread/2", script_sha256="of another script")
    world.dispatching.run()
    assert len(world.sagemaker.jobs) == 1


def test_what_a_killed_run_has_answered_counts_and_the_rest_goes_to_a_job_at_once_and_at_no_cost() -> None:
    world, reads = express(), iter([answer, dies])
    world.dispatching.run()

    def one_then_dies(body: bytes) -> bytes:
        return next(reads, dies)(body)

    with pytest.raises(Crash):
        run(world, one_then_dies)
    assert states(world) == {(Status.COMPLETED, "express"), (Status.PENDING, None)}
    world.dispatching.run()
    (name,) = world.sagemaker.jobs
    assert {row.attempt for row in world.rows()} == {0}
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    assert states(world) == {(Status.COMPLETED, "express"), (Status.COMPLETED, "transform")}


def test_a_malformed_answer_of_a_run_goes_to_a_job_at_no_cost() -> None:
    world = express(1)
    world.dispatching.run()
    run(world, lambda _body: b"{}")
    assert states(world) == {(Status.PENDING, None)}
    assert {row.attempt for row in world.rows()} == {0}


@pytest.mark.parametrize("times", [2, 3])
def test_an_order_that_comes_again_does_nothing(times: int) -> None:
    world, read = express(), []
    world.dispatching.run()

    def once(body: bytes) -> bytes:
        read.append(body)
        return answer(body)

    for _ in range(times):
        run(world, once)
    assert len(read) == 3


@pytest.mark.parametrize("days", [0, -1, 1])
def test_a_dead_run_without_a_record_is_over_by_s3s_clock_when_lambda_has_ended_it_for_certain(days: int) -> None:
    world = express()
    world.dispatching.run()
    world.skew = lambda: timedelta(days=days)
    with pytest.raises(Crash):
        Environments(world).invoke(world.functions.waiting[0], dies)
    world.skew = timedelta
    world.wait(RUN_SECONDS + END_SECONDS - 1)
    world.sweeping.run()
    assert states(world) == {(Status.BATCHED, "express")}
    world.wait(1 + world.sweeping.stale_seconds)
    world.sweeping.run()
    assert states(world) == {(Status.PENDING, None)}


def test_a_run_that_does_not_begin_is_called_off_and_can_begin_no_more() -> None:
    world = express()
    world.dispatching.run()
    world.wait(START_SECONDS - 1)
    world.sweeping.run()
    world.wait(1)
    world.sweeping.run()
    run(world)
    assert states(world) == {(Status.BATCHED, "express")}, "the late invocation did nothing"
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    assert states(world) == {(Status.PENDING, None)}


def test_an_invocation_that_lambda_gives_up_ends_no_other() -> None:
    world = express()
    (name,) = world.dispatching.run()

    def read(body: bytes) -> bytes:
        assert world.collecting.collect(name, "of another invocation") is None
        return answer(body)

    run(world, read)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_an_order_that_came_twice_and_is_dropped_once_ends_no_run() -> None:
    """The SDK sends an invocation again whose answer was lost, and then Lambda has the order twice."""
    world = express()
    world.dispatching.run()
    ended = job_ended(record(world.functions.waiting[0]))

    def read(body: bytes) -> bytes:
        assert world.collecting.collect(ended.name, ended.invocation) is None, "the run is not over"
        return answer(body)

    run(world, read)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_one_that_lambda_drops_sends_its_uploads_to_a_job_at_once() -> None:
    world = express()
    world.dispatching.run()
    ended = job_ended(record(world.functions.waiting[0]))
    world.collecting.collect(ended.name, ended.invocation)
    assert states(world) == {(Status.PENDING, None)}
    run(world)
    assert states(world) == {(Status.PENDING, None)}


def test_a_throttled_order_keeps_its_batch_ready() -> None:
    world = express()
    world.functions.refusing = "TooManyRequestsException"
    assert world.dispatching.run() == []
    world.functions.refusing = ""
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    run(world)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_without_the_function_uploads_take_a_job() -> None:
    world = express()
    world.functions.refusing = "ResourceNotFoundException"
    assert world.dispatching.run() == []
    assert states(world) == {(Status.PENDING, None)}
    assert len(world.dispatching.run()) == 1
    assert len(world.sagemaker.jobs) == 1


def test_an_order_that_was_invoked_before_its_function_went_does_nothing_later() -> None:
    world = died_after_its_order()
    world.functions.refusing = "ResourceNotFoundException"
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    assert states(world) == {(Status.PENDING, None)}
    run(world)
    assert not [key for _, key in world.s3.objects if key.startswith(OUTPUTS)]


def test_a_changed_model_runs_in_neither_lane() -> None:
    world = express()
    world.functions.refusing = "TooManyRequestsException"
    world.dispatching.run()
    world.functions.refusing = ""
    world.sagemaker.models.clear()
    world.wait(world.sweeping.stale_seconds)
    world.dispatching.resume(next(world.batches.get(one) for one in world.batches.holders().values()))  # type: ignore[arg-type]
    assert not world.functions.waiting
    assert states(world) == {(Status.PENDING, None)}


def died_after_its_order() -> World:
    """Return a world whose dispatcher died when it had invoked the function for one upload."""
    armed = {"on": False}

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("invoke", "after") and armed["on"]:
            raise Crash

    world = World(express=express_limits(), interfere=interfere)
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    armed["on"] = True
    with pytest.raises(Crash):
        world.dispatching.run()
    armed["on"] = False
    return world


def test_of_two_orders_of_one_batch_one_is_run() -> None:
    world = died_after_its_order()
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    run(world, of=0)
    run(world, of=len(world.functions.waiting) - 1)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_a_batch_that_cannot_be_advanced_is_called_off_before_its_rows_are_given_back() -> None:
    world = express()
    world.functions.refusing = "TooManyRequestsException"
    world.dispatching.run()
    world.functions.refusing = ""
    (batch_id,) = world.batches.holders().values()
    world.batches.note_tries(batch_id, 5, "2026-11-23T00:00:00.000Z")
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    batch = world.batches.get(batch_id)
    assert batch is not None
    assert (batch.status, batch.lane) == (BatchStatus.COLLECTED, Lane.EXPRESS)
    assert states(world) == {(Status.PENDING, None)}
    assert json.loads(world.s3.objects[WORK, f"express/wetread-{batch_id}/begun.json"])["Invocation"] == "CalledOff"


def test_a_run_that_begins_an_hour_late_is_left_alone() -> None:
    """Its dispatcher was slow. It has Lambda's time limit, and no transform job to stop."""
    world = express(1)
    world.dispatching.run()
    world.wait(world.sweeping.max_job_seconds)

    def read(body: bytes) -> bytes:
        assert world.sweeping.run().failures == 0
        return answer(body)

    run(world, read)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_the_deadline_is_of_the_run_and_not_of_a_job() -> None:
    world = express()
    world.dispatching.run()
    with pytest.raises(Crash):
        Environments(world).invoke(world.functions.waiting[0], dies)
    world.wait(world.sweeping.max_job_seconds)
    world.sweeping.run()  # it is no transform job, and is not stopped as one
    assert states(world) == {(Status.PENDING, None)}
