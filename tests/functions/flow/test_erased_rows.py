"""An erased row is out of the protocol: no batch's row is taken, and nothing comes back."""

from __future__ import annotations

import dataclasses

from functions.domain.row import Row, Status, timestamp
from functions.flow.rescoring import Rescored
from functions.names import INSTANCES
from tests.fakes.dicom import ct
from tests.fakes.world import WORK, World
from tests.functions.flow.versions import read, row, two_versions

LATER = "2026-11-24T00:00:00.000Z"


def waiting() -> tuple[World, Row]:
    world = World()
    world.set_champion()
    taken = world.ingesting.take(world.upload("a.dcm", ct()))
    world.wait(300)
    return world, taken


def test_a_row_that_a_batch_holds_is_not_taken_from_it() -> None:
    world, _ = waiting()
    world.dispatching.run()
    (batched,) = world.rows()
    assert not world.index.begin_erasure(batched, LATER)
    assert world.rows() == [batched]


def test_a_row_that_has_changed_since_it_was_seen_is_left() -> None:
    world, seen = waiting()
    world.dispatching.run()
    assert not world.index.begin_erasure(seen, LATER)
    assert not world.index.begin_erasure(dataclasses.replace(world.rows()[0], status=Status.PENDING), LATER)
    assert world.rows()[0].status == Status.BATCHED


def test_an_erased_row_is_not_claimed() -> None:
    world, seen = waiting()
    claim = world.batches.claim

    def overtaken(*arguments: object) -> None:
        assert world.index.begin_erasure(seen, LATER)
        claim(*arguments)  # type: ignore[arg-type]

    world.batches.claim = overtaken  # type: ignore[method-assign]
    assert world.dispatching.run() == []
    assert world.rows()[0].status == Status.ERASED
    assert world.batches.holders() == {}


def test_only_an_erased_row_or_an_upload_without_one_is_buried() -> None:
    world, seen = waiting()
    assert not world.index.bury(seen.upload_id, world.time)
    assert world.index.begin_erasure(seen, LATER)
    assert world.index.bury(seen.upload_id, world.time)
    assert world.index.bury("0" * 32, world.time)
    assert {one.status for one in world.rows()} == {Status.ERASED}
    assert not [one for one in world.rows() if one.key or one.study_instance_uid or one.patient_hash]


def test_an_object_that_is_erased_while_ingest_reads_it_leaves_no_copy() -> None:
    world = World()
    event = world.upload("a.dcm", ct())
    put_new = world.index.put_new

    def overtaken(row: Row) -> bool:
        world.index.bury(row.upload_id, world.time)
        return put_new(row)

    world.index.put_new = overtaken  # type: ignore[method-assign]
    assert world.ingesting.take(event).status == Status.ERASED
    assert not [key for bucket, key in world.s3.objects if bucket == WORK]


def test_an_upload_that_is_erased_while_it_is_asked_to_be_read_again_leaves_no_copy() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "a.dcm")
    seen = row(world, "a.dcm")
    requeue = world.index.rescore

    def overtaken(one: Row, now: str) -> bool:
        world.index.begin_erasure(seen, timestamp(world.time))
        return requeue(one, now)

    world.index.rescore = overtaken  # type: ignore[method-assign]
    assert workflow.withdrawing.rescore(seen) == Rescored.CHANGED
    assert not [key for bucket, key in world.s3.objects if bucket == WORK and key.startswith(INSTANCES)]
