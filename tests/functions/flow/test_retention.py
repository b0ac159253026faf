"""A stage that keeps results for a time: only ended rows expire, together with their result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from functions.aws.cohorts import RENEWED
from functions.domain.row import Row, Status
from tests.fakes.dicom import ct
from tests.fakes.workflow import TRAINING, Workflow
from tests.fakes.world import World, answer
from tests.functions.flow.versions import two_versions
from wetread.erasure.uploads import SETTLED_SECONDS

DAY = 86_400


def keeping(world: World) -> World:
    for part in (world.ingesting, world.collecting.settling):
        object.__setattr__(part, "kept_days", 30)
    return world


def days_left(world: World, row: Row) -> float | None:
    return row.expires_at and (row.expires_at - world.time.timestamp()) / DAY


def test_waiting_rows_never_expire_and_ended_ones_do() -> None:
    world = keeping(World())
    world.set_champion()
    good = world.upload("good.dcm", ct())
    refused = world.ingesting.take(world.upload("refused.dcm", ct(Modality="MR")))
    assert days_left(world, refused) == 30
    assert world.ingesting.take(good).expires_at is None
    world.wait(300)
    (name,) = world.dispatching.run()
    assert world.row(good).expires_at is None
    world.wait(DAY)
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    assert days_left(world, world.row(good)) == 30


def test_an_upload_that_is_read_again_does_not_expire_while_it_waits() -> None:
    workflow = two_versions()
    world = keeping(workflow.world)
    event = world.upload("a.dcm", ct())
    world.ingesting.take(event)
    world.wait(300)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    workflow.withdrawing.rescore(world.row(event))
    assert (world.row(event).status, world.row(event).expires_at) == (Status.PENDING, None)


def test_a_row_that_is_being_erased_does_not_expire_before_what_it_leads_to_is_gone() -> None:
    world = keeping(World())
    row = world.ingesting.take(world.upload("refused.dcm", ct(Modality="MR")))
    assert world.index.begin_erasure(row, "2026-11-24T00:00:00.000Z")
    assert world.rows()[0].expires_at is None


def test_a_stage_that_keeps_all_has_no_row_that_expires() -> None:
    world = World()
    assert world.ingesting.take(world.upload("refused.dcm", ct(Modality="MR"))).expires_at is None


def test_an_old_copy_of_a_slice_is_renewed_so_that_it_does_not_expire_during_a_run() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    workflow.take(uri)
    s3 = workflow.world.s3
    copies = [where for where in s3.objects if where[0] == TRAINING and where[1].startswith("slices/")]
    s3.modified[copies[0]] = datetime.now(UTC) - RENEWED - timedelta(hours=1)
    before = s3.copies
    workflow.take(uri, execution="run-2")
    assert s3.copies == before + 1


def test_the_settled_time_covers_the_longest_a_function_may_run() -> None:
    assert SETTLED_SECONDS >= 2 * 300
