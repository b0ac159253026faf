"""The sweep finishes what any other function left unfinished."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.domain.batch import BatchStatus
from functions.domain.row import Status
from functions.flow.collecting import Collecting
from functions.names import Metric
from tests.fakes.dicom import ct
from tests.fakes.world import World, answer


class Crash(BaseException):
    """The function's environment dies."""


def crashed_at(operation: str, when: str, nth: int = 1) -> World:
    """Return a world in which dispatch died at the nth call of an operation."""
    armed = {"left": 0}

    def interfere(called: str, moment: str) -> None:
        if (called, moment) == (operation, when) and armed["left"]:
            armed["left"] -= 1
            if not armed["left"]:
                raise Crash

    world = World(interfere=interfere)
    world.set_champion()
    for number in range(3):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    armed["left"] = nth
    with pytest.raises(Crash):
        world.dispatching.run()
    return world


@pytest.mark.parametrize(
    ("operation", "when", "nth"),
    [
        ("put_object", "after", 1),
        ("transact_write_items", "before", 1),
        ("transact_write_items", "after", 1),
        ("transact_write_items", "after", 2),
        ("update_item", "before", 1),
        ("update_item", "after", 1),
        ("put_object", "before", 2),
        ("put_object", "after", 2),
        ("create_transform_job", "before", 1),
        ("create_transform_job", "after", 1),
        ("update_item", "after", 2),
    ],
)
def test_wherever_dispatch_dies_the_sweep_brings_every_upload_to_one_job_and_a_result(
    operation: str, when: str, nth: int
) -> None:
    world = crashed_at(operation, when, nth)
    world.wait(200)
    world.sweeping.run()
    world.wait(200)
    world.sweeping.run()
    assert len(world.sagemaker.jobs) == 1
    (name,) = world.sagemaker.jobs
    world.sagemaker.end(name, answer)
    world.wait(200)
    world.sweeping.run()  # the job's event was lost
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_work_in_progress_is_left_alone() -> None:
    world = crashed_at("update_item", "before")
    world.wait(10)
    world.sweeping.run()
    assert not world.sagemaker.jobs


def test_an_overdue_job_is_stopped_and_its_uploads_tried_again() -> None:
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    (name,) = world.dispatching.run()
    world.wait(3599)
    world.sweeping.run()
    assert world.sagemaker.jobs[name]["TransformJobStatus"] == "InProgress"
    world.wait(1)
    world.sweeping.run()
    assert world.sagemaker.jobs[name]["TransformJobStatus"] == "Stopping"
    world.sagemaker.end(name, lambda _body: None, status="Stopped")
    world.wait(180)
    world.sweeping.run()
    assert world.rows()[0].attempt == 1


def test_a_slot_of_a_collected_batch_is_freed() -> None:
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    (name,) = world.dispatching.run()
    moved = [BatchStatus.SUBMITTED]
    world.batches.advance(name.removeprefix("wetread-"), moved, BatchStatus.COLLECTED, "2026-11-23T00:00:00.000Z")
    assert world.sweeping.run().measured[Metric.SWEEP_REPAIRS] == 1
    assert world.batches.holders() == {}


def test_a_job_that_just_ended_is_left_to_its_event() -> None:
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    (name,) = world.dispatching.run()
    world.wait(1000)
    world.sagemaker.end(name, answer)
    world.wait(10)
    assert world.sweeping.run().measured[Metric.SWEEP_REPAIRS] == 0
    world.wait(180)
    measured = world.sweeping.run().measured
    assert (measured[Metric.SWEEP_REPAIRS], measured[Metric.UPLOADS_COMPLETED]) == (1, 1)


def test_a_batch_that_cannot_be_repaired_keeps_no_other_from_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(slots=2, max_batch=1, parallel_threshold=1)
    world.set_champion()
    for number in range(2):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    first, second = world.dispatching.run()
    for name in (first, second):
        world.sagemaker.end(name, answer)
    world.wait(200)
    collect = Collecting.collect

    def failing(collecting: Collecting, name: str) -> object:
        if name == first:
            raise OSError(name)
        return collect(collecting, name)

    monkeypatch.setattr(Collecting, "collect", failing)
    swept = world.sweeping.run()
    assert swept.failures == 1
    assert sum(row.status == Status.COMPLETED for row in world.rows()) == 1


def test_lowering_the_number_of_slots_strands_no_batch() -> None:
    world = World(slots=4, max_batch=1, parallel_threshold=1)
    world.set_champion()
    for number in range(4):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    for name in world.dispatching.run():
        world.sagemaker.end(name, answer)
    world.wait(200)
    object.__setattr__(world.dispatching, "limits", replace(world.dispatching.limits, slots=1))
    world.sweeping.run()
    assert {row.status for row in world.rows()} == {Status.COMPLETED}


def test_an_account_without_room_shows_in_the_oldest_wait() -> None:
    world = World()
    world.set_champion()
    world.sagemaker.quota = 0
    world.ingesting.take(world.upload("a.dcm", ct()))
    world.dispatching.run()
    world.wait(4000)
    assert world.sweeping.run().measured[Metric.OLDEST_PENDING_SECONDS] == 4000


def test_gauges_say_what_waits_and_that_a_model_is_missing() -> None:
    world = World()
    world.ingesting.take(world.upload("a.dcm", ct()))
    world.wait(90)
    measured = world.sweeping.run().measured
    assert measured[Metric.PENDING] == 1
    assert measured[Metric.OLDEST_PENDING_SECONDS] == 90
    assert measured[Metric.MODEL_MISSING] == 1
    world.set_champion()
    assert world.sweeping.run().measured[Metric.JOBS_SUBMITTED] == 1
    quiet = world.sweeping.run().measured
    assert (quiet[Metric.PENDING], quiet[Metric.MODEL_MISSING], quiet[Metric.SLOTS_BUSY]) == (0, 0, 1)


def test_rows_of_a_batch_that_was_given_back_while_its_index_lagged_are_read_by_another_job() -> None:
    lags = {"now": False}
    world = World(lagging=lambda: lags["now"])
    world.set_champion()
    row = world.ingesting.take(world.upload("1.dcm", ct()))
    (name,) = world.dispatching.run()
    world.dynamodb.lag()
    world.sagemaker.jobs.clear()
    lags["now"] = True
    while world.batches.holders():  # its job is not to be found, and no row of it is seen
        world.wait(60)
        world.sweeping.run()
    lags["now"] = False
    world.wait(180)
    assert world.sweeping.run().measured[Metric.SWEEP_REPAIRS] == 1
    (again,) = world.dispatching.run()
    assert again != name
    world.sagemaker.end(again, answer)
    assert world.collecting.collect(again)
    assert world.index.get(row.upload_id).status == Status.COMPLETED
    assert world.sweeping.run().measured[Metric.SWEEP_REPAIRS] == 0
