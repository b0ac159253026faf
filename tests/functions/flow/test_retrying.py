"""Retries: of a poison object alone, of a job that keeps failing, of trouble that no object caused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.domain.row import Status
from functions.flow.trying import TROUBLE_SECONDS
from tests.fakes.dicom import ct
from tests.fakes.world import World, answer

POISON = ct(SOPInstanceUID="1.2.666")


def run_to_the_end(world: World, output: Callable[[bytes], bytes | None], jobs: int = 60, reason: str = "") -> int:
    """Run the service until nothing is pending; return how many jobs it took."""
    for count in range(jobs):
        world.wait(2000)
        started = world.dispatching.run()
        if not started:
            assert all(row.status.terminal for row in world.rows())
            return count
        for name in started:
            world.sagemaker.end(name, output, reason=reason)
            world.collecting.collect(name)
    raise AssertionError("no quiescence")


def test_a_poison_object_is_isolated_in_log_n_jobs_and_harms_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.flow.collecting.CHUNK", 7)  # a half is one of the whole manifest, not of a chunk
    world = World(slots=1)
    world.set_champion()
    for number in range(63):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    poison = world.upload("poison.dcm", POISON)
    world.ingesting.take(poison)

    def container(body: bytes) -> bytes | None:
        return None if body == POISON or dead["dead"] else answer(body)

    dead = {"dead": True}

    def crashing(body: bytes) -> bytes | None:
        """Return no output for any object, as when the poison takes the container down."""
        return None if dead["dead"] else container(body)

    jobs = 0
    for _ in range(60):
        world.wait(2000)
        started = world.dispatching.run()
        if not started:
            break
        jobs += len(started)
        for name in started:
            members = world.sagemaker.jobs[name]["members"]
            dead["dead"] = f"{world.row(poison).upload_id}.dcm" in members
            world.sagemaker.end(name, crashing)
            world.collecting.collect(name)
    assert jobs <= 2 + 2 * 6 + 1
    assert world.row(poison).status == Status.FAILED
    assert world.row(poison).code == "JobFailed"
    assert sum(row.status == Status.COMPLETED for row in world.rows()) == 63


def test_a_lone_upload_with_a_job_that_keeps_failing_ends_as_failed_with_the_jobs_reason() -> None:
    world = World()
    world.set_champion()
    event = world.upload("a.dcm", ct())
    world.ingesting.take(event)
    assert run_to_the_end(world, lambda _body: None, reason="AlgorithmError: out of memory") == 3
    assert "out of memory" in (world.row(event).reason or "")


def test_trouble_of_the_service_never_fails_an_upload() -> None:
    world = World()
    world.set_champion()
    event = world.upload("a.dcm", ct())
    world.ingesting.take(event)
    for _ in range(8):
        world.wait(2000)
        (name,) = world.dispatching.run()
        world.sagemaker.end(name, lambda _body: None, reason="CapacityError: Unable to provision")
        world.collecting.collect(name)
    assert world.row(event).status == Status.PENDING
    assert run_to_the_end(world, answer) == 1


def test_an_object_that_ends_its_host_keeps_no_neighbour_though_sagemaker_calls_it_an_internal_error() -> None:
    world = World(slots=1)
    world.set_champion()
    for number in range(15):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    poison = world.upload("poison.dcm", POISON)
    world.ingesting.take(poison)

    def run() -> None:
        world.wait(2000)
        for name in world.dispatching.run():
            ends = f"{world.row(poison).upload_id}.dcm" in world.sagemaker.jobs[name]["members"]
            reason = "InternalServerError: We encountered an internal error. Please try again." if ends else ""
            world.sagemaker.end(name, (lambda _body: None) if ends else answer, reason=reason)
            world.collecting.collect(name)

    for _ in range(12):
        run()
    assert sum(row.status == Status.COMPLETED for row in world.rows()) == 15
    assert world.row(poison).status == Status.PENDING, "it may be the service's own trouble, for a day"
    for _ in range(TROUBLE_SECONDS // 2000 + 4):
        run()
    row = world.row(poison)
    assert (row.status, row.code) == (Status.FAILED, "JobFailed")
    assert "InternalServerError" in (row.reason or "")
