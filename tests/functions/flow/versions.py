"""Two versions that were promoted one after the other, and uploads that the champion reads."""

from __future__ import annotations

from functions.domain.row import Row
from tests.fakes.dicom import ct
from tests.fakes.workflow import Workflow
from tests.fakes.world import World, answer


def promoted(workflow: Workflow, name: str) -> str:
    """Train and promote one more version."""
    workflow.world.wait(60)
    taken = workflow.take(workflow.put_cohort(), execution=name)
    promotion = workflow.promote(taken, workflow.train(taken))
    return promotion.version.model_package


def two_versions() -> Workflow:
    workflow = Workflow(World(slots=4))
    assert [promoted(workflow, name) for name in ("one", "two")] == ["wetread/1", "wetread/2"]
    return workflow


def submit(world: World, *keys: str) -> str:
    """Ingest uploads and start their job; return its name."""
    for number, key in enumerate(keys):
        world.ingesting.take(world.upload(key, ct(SOPInstanceUID=f"1.2.{number}", StudyInstanceUID=f"1.3.{len(key)}")))
    world.wait(300)
    (name,) = world.dispatching.run()
    return name


def read(world: World, *keys: str) -> None:
    """Ingest uploads, and let the champion read them."""
    name = submit(world, *keys)
    world.sagemaker.end(name, lambda body: answer(body, Notes=["A note."], Synthetic=True))
    world.collecting.collect(name)


def row(world: World, key: str) -> Row:
    (found,) = (row for row in world.rows() if row.key == key)
    return found
