"""A function that continues after others took over leaves to them what they hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.aws.jobs import Creation
from functions.domain.batch import BatchStatus
from functions.domain.row import Status
from functions.flow.collecting import Collecting
from tests.fakes.dicom import ct
from tests.fakes.world import World, answer


def waiting() -> World:
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    world.wait(300)
    return world


def before(world: World, operation: str, others: Callable[[], object]) -> None:
    """Let others do their work just before DynamoDB answers the next call of ``operation``."""

    def interfere(called: str, when: str) -> None:
        if (called, when) == (operation, "before"):
            world.clients["dynamodb"].interfere = lambda *_: None
            others()

    world.clients["dynamodb"].interfere = interfere


def dying(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_late_dispatcher_leaves_a_batch_with_a_job_to_its_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    world = waiting()

    def others() -> None:
        world.wait(300)
        world.sweeping.run()
        (name,) = world.sagemaker.live()
        world.sagemaker.end(name, answer)
        with monkeypatch.context() as patch:
            patch.setattr(Collecting, "_mark_if_withdrawn", dying)
            with pytest.raises(KeyboardInterrupt):
                world.collecting.collect(name)

    # Its rows are the first that a dispatcher reads after the claim.
    claim = world.batches.claim

    def claimed(*arguments: object) -> None:
        claim(*arguments)  # type: ignore[arg-type]
        before(world, "batch_get_item", others)

    monkeypatch.setattr(world.batches, "claim", claimed)
    world.dispatching.run()
    (batch_id,) = world.batches.holders().values()
    batch = world.batches.get(batch_id)
    assert batch
    assert batch.status == BatchStatus.SUBMITTED, "results of a withdrawn model may be left to mark"
    world.wait(300)
    world.sweeping.run()
    assert world.batches.holders() == {}
    assert [row.status for row in world.rows()] == [Status.COMPLETED]


def test_an_existing_job_is_found_whatever_error_creating_it_again_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    world = waiting()
    (name,) = world.dispatching.run()
    job = world.sagemaker.jobs.pop(name)
    world.sagemaker.models_gone = True  # AWS does not say which of two reasons it gives first
    monkeypatch.setattr(world.sagemaker, "describe_transform_job", lambda **_: job)
    created = world.jobs.create(name, name.removeprefix("wetread-"), "wetread-1-abc", world.dispatching.shape)
    assert created is Creation.STARTED, "otherwise its rows were requeued, and soon in two jobs"
