"""Results of a withdrawn version, read again by its predecessor: once, from a separate copy."""

from __future__ import annotations

from functions.domain.row import Status
from functions.flow.rescoring import Rescored
from tests.fakes.world import RESULTS, UPLOADS, WORK, answer
from tests.functions.flow.versions import read, row, submit, two_versions


def test_a_rescored_upload_is_read_by_the_predecessor_from_a_separate_copy() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "a.dcm")
    old = row(world, "a.dcm")
    workflow.withdrawing.roll_back("")
    workflow.withdrawing.mark("wetread/2")
    assert workflow.withdrawing.rescore(row(world, "a.dcm")) is Rescored.REQUEUED
    waiting = row(world, "a.dcm")
    assert (waiting.status, waiting.attempt) == (Status.PENDING, 0)
    lost = ("batch_id", "transform_job_name", "model_package", "predicted_class", "prediction_key", "completed_at")
    assert {getattr(waiting, name) for name in lost} == {None}
    assert (waiting.withdrawn_at, waiting.probabilities, waiting.timings_ms) == (None, {}, {})
    assert (old.prediction_notes, waiting.prediction_notes) == (("A note.",), ())
    assert (old.synthetic, waiting.synthetic) == (True, None)
    assert (waiting.content_sha256, waiting.received_at) == (old.content_sha256, old.received_at)
    workflow.withdrawing.wake()
    (name,) = world.dispatching.run()
    assert world.sagemaker.jobs[name]["members"] == [waiting.instance_name] != [old.instance_name]
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    again = row(world, "a.dcm")
    assert (again.status, again.model_package, again.withdrawn_at) == (Status.COMPLETED, "wetread/1", None)
    assert not [key for bucket, key in world.s3.objects if bucket == WORK and key.startswith("instances/")]
    assert (RESULTS, old.prediction_key) in world.s3.objects  # what the withdrawn version said is not destroyed


def test_an_upload_that_is_read_again_has_nothing_of_an_abstention() -> None:
    workflow = two_versions()
    world = workflow.world
    unlike = {"Score": 3.5, "Threshold": 0.5, "Abstained": True}
    name = submit(world, "a.dcm")
    world.sagemaker.end(name, lambda body: answer(body, Class=None, Typicality=unlike, Unsure=True))
    world.collecting.collect(name)
    assert row(world, "a.dcm").abstained
    workflow.withdrawing.roll_back("")
    workflow.withdrawing.mark("wetread/2")
    workflow.withdrawing.rescore(row(world, "a.dcm"))
    waiting = row(world, "a.dcm")
    assert (waiting.typicality, waiting.unsure, waiting.abstained) == ({}, None, False)


def test_an_upload_waits_since_it_was_requeued_and_not_since_it_arrived() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "a.dcm")
    workflow.withdrawing.roll_back("")
    world.wait(1_000_000)
    workflow.withdrawing.rescore(row(world, "a.dcm"))
    world.wait(60)
    world.sagemaker.quota = 0
    assert world.sweeping.run().measured["OldestPendingSeconds"] == 60  # type: ignore[index]


def test_an_upload_without_its_object_version_keeps_its_marked_result() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "a.dcm")
    workflow.withdrawing.roll_back("")
    workflow.withdrawing.mark("wetread/2")
    before = row(world, "a.dcm")
    world.s3.versions.pop((UPLOADS, "a.dcm", "v1"))
    assert workflow.withdrawing.rescore(before) is Rescored.GONE
    assert row(world, "a.dcm") == before


def test_a_result_is_rescored_once_however_often_it_is_requested() -> None:
    workflow = two_versions()
    world = workflow.world
    read(world, "a.dcm")
    workflow.withdrawing.roll_back("")
    seen = row(world, "a.dcm")
    assert workflow.withdrawing.rescore(seen) is Rescored.REQUEUED
    assert workflow.withdrawing.rescore(seen) is Rescored.CHANGED
    assert workflow.withdrawing.rescore(row(world, "a.dcm")) is Rescored.CHANGED
    world.wait(300)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    assert workflow.withdrawing.rescore(seen) is Rescored.CHANGED
    assert row(world, "a.dcm").status == Status.COMPLETED


def test_a_late_collector_of_the_first_job_harms_no_copy_of_the_second() -> None:
    """It read the row before it was settled, and continues when the upload is already Pending again."""
    workflow = two_versions()
    world = workflow.world
    name = submit(world, "a.dcm")
    world.sagemaker.end(name, answer)
    woken: list[str] = []

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("delete_objects", "before") and not woken:
            woken.append(name)
            world.collecting.collect(name)  # another delivery of the same event finishes the batch
            workflow.withdrawing.roll_back("")
            assert workflow.withdrawing.rescore(row(world, "a.dcm")) is Rescored.REQUEUED

    world.clients["s3"].interfere = interfere
    world.collecting.collect(name)
    assert woken
    assert (WORK, f"instances/{row(world, 'a.dcm').instance_name}") in world.s3.objects
