"""Pending rows become few jobs; every guard of the protocol has its test."""

from __future__ import annotations

import json

import pytest

from functions.aws.events import ObjectCreated
from functions.domain.batch import BatchStatus
from functions.domain.row import Status
from functions.flow.dispatching import ArtifactChanged
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import ARTIFACT, MODELS, WORK, World


def filled(count: int, **settings: int) -> tuple[World, list[ObjectCreated]]:
    world = World(**settings)  # type: ignore[arg-type]
    world.crown()
    events = [world.upload(f"{number:04d}.dcm", ct(SOPInstanceUID=f"1.2.{number}")) for number in range(count)]
    for event in events:
        world.intake.take(event)
        world.wait(0.01)
    return world, events


def test_everything_pending_goes_into_one_job() -> None:
    world, events = filled(30)
    (name,) = world.dispatching.run()
    job = world.sagemaker.jobs[name]
    assert sorted(job["members"]) == sorted(f"{world.row(event).upload_id}.dcm" for event in events)
    assert {row.status for row in world.rows()} == {Status.BATCHED}
    assert {row.transform_job_name for row in world.rows()} == {name}
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert batch.status == BatchStatus.SUBMITTED


def test_a_claim_larger_than_a_transaction_is_whole() -> None:
    world, _ = filled(250, max_batch=250)
    (name,) = world.dispatching.run()
    assert len(set(world.sagemaker.jobs[name]["members"])) == 250


def test_without_a_champion_uploads_wait() -> None:
    world = World()
    world.intake.take(world.upload("a.dcm", ct()))
    assert world.dispatching.run() == []
    assert world.rows()[0].status == Status.PENDING
    world.crown()
    assert len(world.dispatching.run()) == 1


def test_a_second_run_while_a_job_runs_waits_for_the_next_batch() -> None:
    world, _ = filled(5)
    world.dispatching.run()
    world.intake.take(world.upload("late.dcm", ct()))
    assert world.dispatching.run() == []
    world.wait(241)
    assert len(world.dispatching.run()) == 1


def test_slots_are_never_exceeded() -> None:
    world, _ = filled(60, slots=2, max_batch=10, parallel_threshold=1)
    assert len(world.dispatching.run()) == 2
    assert world.dispatching.run() == []


def test_a_full_account_keeps_the_batch_ready_and_its_slot() -> None:
    world, _ = filled(5)
    world.sagemaker.quota = 0
    assert world.dispatching.run() == []
    (batch_id,) = world.batches.holders().values()
    batch = world.batches.get(batch_id)
    assert batch
    assert batch.status == BatchStatus.READY
    world.sagemaker.quota = 1
    assert world.dispatching.resume(batch)


def test_a_job_that_exists_already_is_this_batchs_job() -> None:
    world, _ = filled(3)
    (name,) = world.dispatching.run()
    batch_id = name.removeprefix("wetread-")
    world.dynamodb.tables["batches"][f"BATCH#{batch_id}"]["Status"] = {"S": "Ready"}  # died before recording it
    batch = world.batches.get(batch_id)
    assert batch
    assert world.dispatching.resume(batch)
    assert len(world.sagemaker.jobs) == 1


def test_a_foreign_job_of_the_same_name_is_an_error_not_a_success() -> None:
    world, _ = filled(3)
    world.sagemaker.quota = 0
    world.dispatching.run()
    (batch_id,) = world.batches.holders().values()
    source = {"DataSource": {"S3DataSource": {"S3Uri": "s3://elsewhere/manifest.json"}}}
    world.sagemaker.jobs[f"wetread-{batch_id}"] = {"TransformInput": source, "TransformJobStatus": "InProgress"}
    batch = world.batches.get(batch_id)
    assert batch
    with pytest.raises(RuntimeError, match="job name prefix"):
        world.dispatching.resume(batch)


def test_a_job_that_is_refused_for_good_hands_its_rows_back() -> None:
    world, _ = filled(5)
    world.sagemaker.models_gone = True
    assert world.dispatching.run() == []
    assert {(row.status, row.attempt, row.batch_id) for row in world.rows()} == {(Status.PENDING, 0, None)}
    assert world.batches.holders() == {}
    world.sagemaker.models_gone = False
    world.wait(60)
    assert len(world.dispatching.run()) == 1


def test_a_promotion_ends_the_pause_that_an_earlier_model_earned() -> None:
    world, _ = filled(1)
    world.sagemaker.models_gone = True
    for _ in range(6):
        world.wait(3600)
        world.dispatching.run()
    world.sagemaker.models_gone = False
    assert world.dispatching.run() == []
    world.wait(1)
    world.crown("wetread/2")
    assert len(world.dispatching.run()) == 1


def test_stale_candidates_come_to_nothing_and_free_their_slot() -> None:
    world, _ = filled(3)
    stale = world.index.pending(10)
    world.dispatching.run()
    world.dispatching.index.pending = lambda at_most: stale  # type: ignore[method-assign, assignment]
    world.wait(300)
    assert world.dispatching.run() == []
    assert len(world.batches.holders()) == 1


def test_a_slow_claimer_cannot_give_rows_to_a_batch_that_left_claiming() -> None:
    world, _ = filled(3)
    (name,) = world.dispatching.run()
    batch_id = name.removeprefix("wetread-")
    late = world.intake.take(world.upload("late.dcm", ct()))
    world.batches.claim(batch_id, name, [late.upload_id], "now")
    assert world.index.get(late.upload_id) == late


def test_rows_lost_to_another_batch_are_left_to_it() -> None:
    world, events = filled(3)
    (name,) = world.dispatching.run()
    late = world.intake.take(world.upload("late.dcm", ct()))
    world.wait(300)
    taken = world.row(events[0]).upload_id
    world.dispatching.index.pending = lambda at_most: [  # type: ignore[method-assign, assignment]
        row for row in world.rows() if row.upload_id in {late.upload_id, taken}
    ]
    (second,) = world.dispatching.run()[:1]
    assert world.sagemaker.jobs[second]["members"] == [f"{late.upload_id}.dcm"]
    assert world.row(events[0]).transform_job_name == name


def test_the_manifest_is_json_with_one_prefix_and_flat_names() -> None:
    world, _ = filled(2)
    (name,) = world.dispatching.run()
    manifest = json.loads(world.s3.objects[WORK, f"batches/{name.removeprefix('wetread-')}/manifest.json"])
    assert manifest[0] == {"prefix": f"s3://{WORK}/instances/"}
    assert all("/" not in entry for entry in manifest[1:])


def test_outputs_are_encrypted_with_the_services_own_key() -> None:
    world, _ = filled(1)
    (name,) = world.dispatching.run()
    assert world.sagemaker.jobs[name]["TransformOutput"]["KmsKeyId"].startswith("arn:aws:kms:")


def test_a_conflict_with_another_writer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = filled(2)
    monkeypatch.setattr("functions.aws.batches.time.sleep", lambda _seconds: None)
    write, conflicts = world.dynamodb.transact_write_items, iter([True, True])

    def sometimes(**request: object) -> None:
        if len(request["TransactItems"]) == 3 and next(conflicts, False):  # type: ignore[arg-type]
            reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}, {"Code": "None"}]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)
        write(**request)

    monkeypatch.setattr(world.dynamodb, "transact_write_items", sometimes)
    assert len(world.dispatching.run()) == 1


def test_nothing_is_read_with_an_artifact_that_is_not_the_promoted_one_any_more() -> None:
    world = World()
    world.crown()
    event = world.upload("a.dcm", ct())
    world.intake.take(event)
    world.wait(300)
    (artifact,) = [where for where in world.s3.objects if where[0] == MODELS]
    for changed in (b"another", None):
        if changed is None:
            del world.s3.objects[artifact]
        else:
            world.s3.objects[artifact] = changed
        with pytest.raises(ArtifactChanged, match=r"wetread/1 in s3://models-bucket/artifacts/.* Restore its version"):
            world.dispatching.run()
        assert world.sweeping.run().failures == 1, "the sweep raises its alarm as well"
        assert (world.row(event).status, world.batches.holders()) == (Status.PENDING, {})
    world.s3.objects[artifact] = ARTIFACT
    assert len(world.dispatching.run()) == 1
