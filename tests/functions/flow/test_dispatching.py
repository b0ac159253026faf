"""Pending rows become few jobs; every guard of the protocol has its test."""

from __future__ import annotations

import dataclasses
import json

import pytest

from functions.aws.batches import Opening
from functions.aws.events import ObjectCreated
from functions.aws.index import Index
from functions.domain.batch import LONGEST_PAUSE_SECONDS, Batch, BatchStatus
from functions.domain.row import Status, timestamp
from functions.names import Metric
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import WORK, World, answer


def filled(count: int, **settings: float) -> tuple[World, list[ObjectCreated]]:
    world = World(**settings)  # type: ignore[arg-type]
    world.set_champion()
    events = [world.upload(f"{number:04d}.dcm", ct(SOPInstanceUID=f"1.2.{number}")) for number in range(count)]
    for event in events:
        world.ingesting.take(event)
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


def test_a_row_that_an_index_shows_twice_is_in_its_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = filled(3)
    pending = world.index.pending
    monkeypatch.setattr(Index, "pending", lambda _self, at_most, **more: 2 * pending(at_most, **more))
    (name,) = world.dispatching.run()
    assert len(world.sagemaker.jobs[name]["members"]) == 3


def test_a_claim_larger_than_a_transaction_is_whole() -> None:
    world, _ = filled(250, max_batch=250)
    (name,) = world.dispatching.run()
    assert len(set(world.sagemaker.jobs[name]["members"])) == 250


def test_without_a_champion_uploads_wait() -> None:
    world = World()
    world.ingesting.take(world.upload("a.dcm", ct()))
    assert world.dispatching.run() == []
    assert world.rows()[0].status == Status.PENDING
    world.set_champion()
    assert len(world.dispatching.run()) == 1


def test_a_second_run_while_a_job_runs_waits_for_the_next_batch() -> None:
    world, _ = filled(5)
    world.dispatching.run()
    world.ingesting.take(world.upload("late.dcm", ct()))
    assert world.dispatching.run() == []
    world.wait(241)
    assert len(world.dispatching.run()) == 1


def test_slots_are_never_exceeded() -> None:
    world, _ = filled(60, slots=2, max_batch=10, parallel_threshold=1)
    assert len(world.dispatching.run()) == 2
    assert world.dispatching.run() == []


def test_no_further_job_is_started_without_the_time_for_it() -> None:
    world, _ = filled(60, slots=2, max_batch=10, parallel_threshold=1)
    assert len(world.dispatching.run(lambda: False)) == 1
    assert len(world.dispatching.run(lambda: True)) == 1


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


def test_an_existing_job_of_the_name_is_the_batchs_job() -> None:
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


def test_the_rows_of_a_job_that_is_refused_for_good_are_requeued() -> None:
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
    world.set_champion("wetread/2")
    assert len(world.dispatching.run()) == 1


def test_stale_candidates_start_no_job_and_free_their_slot() -> None:
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
    late = world.ingesting.take(world.upload("late.dcm", ct()))
    world.batches.claim(batch_id, name, [late.upload_id], "now")
    assert world.index.get(late.upload_id) == late


def test_rows_lost_to_another_batch_are_left_to_it() -> None:
    world, events = filled(3)
    (name,) = world.dispatching.run()
    late = world.ingesting.take(world.upload("late.dcm", ct()))
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
    world, _ = filled(3)
    monkeypatch.setattr("functions.aws.batches.time.sleep", lambda _seconds: None)
    write, conflicts = world.dynamodb.transact_write_items, iter([True, True])

    def sometimes(**request: object) -> None:
        if len(request["TransactItems"]) == 4 and next(conflicts, False):  # type: ignore[arg-type]
            reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}, {"Code": "None"}, {"Code": "None"}]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)
        write(**request)

    monkeypatch.setattr(world.dynamodb, "transact_write_items", sometimes)
    assert len(world.dispatching.run()) == 1


def test_disks_of_the_hosts_are_encrypted_with_the_services_own_key() -> None:
    world, _ = filled(1)
    (name,) = world.dispatching.run()
    assert world.sagemaker.jobs[name]["TransformResources"]["VolumeKmsKeyId"].startswith("arn:aws:kms:")


def test_hosts_with_self_encrypting_disks_get_no_key() -> None:
    world, _ = filled(1)
    own_disk = dataclasses.replace(world.dispatching.shape, volume_key_arn="")
    (name,) = dataclasses.replace(world.dispatching, shape=own_disk).run()
    assert "VolumeKmsKeyId" not in world.sagemaker.jobs[name]["TransformResources"]


def test_a_request_that_hangs_ends_before_its_job_would_be_stopped() -> None:
    world, _ = filled(1)
    (name,) = world.dispatching.run()
    client = world.sagemaker.jobs[name]["ModelClientConfig"]
    hangs = client["InvocationsTimeoutInSeconds"] * (1 + client["InvocationsMaxRetries"])
    assert hangs < world.sweeping.max_job_seconds / 2


def test_more_than_one_job_takes_is_worth_a_second_job_at_once() -> None:
    world, _ = filled(60, slots=4, worst_seconds=10)  # 20 native slices a job
    started = world.dispatching.run()
    assert [len(world.sagemaker.jobs[name]["members"]) for name in started] == [20, 20]


def read(world: World, names: list[str]) -> None:
    """End and collect jobs with an answer for each upload."""
    for name in names:
        world.sagemaker.end(name, answer)
        world.collecting.collect(name)


def test_when_the_days_jobs_are_used_up_uploads_wait_for_the_next_day_and_none_is_lost() -> None:
    world = World(max_jobs_per_day=2)
    world.set_champion()
    for number in range(4):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
        read(world, world.dispatching.run())
        world.wait(3600)
    assert [row.status for row in world.rows()].count(Status.COMPLETED) == 2
    assert [row.status for row in world.rows()].count(Status.PENDING) == 2
    assert world.batches.jobs_on("2026-11-23") == 2
    swept = world.sweeping.run()
    assert swept.measured[Metric.BUDGET_REACHED] == 1
    assert swept.failures == 0, "a budget is no error"
    assert not [key for bucket, key in world.s3.objects if key.endswith("candidates.json")][2:], "nothing is written"
    world.wait(24 * 3600 - (world.time - world.time.replace(hour=0, minute=0)).total_seconds())
    assert world.sweeping.run().measured[Metric.BUDGET_REACHED] == 0
    read(world, list(world.sagemaker.live()))
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.jobs_on("2026-11-24") == 1


def test_a_used_up_day_raises_its_alarm_only_if_uploads_wait() -> None:
    world, _ = filled(1, max_jobs_per_day=1)
    read(world, world.dispatching.run())
    assert world.sweeping.run().measured[Metric.BUDGET_REACHED] == 0


def test_a_batch_counts_once_however_often_it_is_resumed() -> None:
    world, _ = filled(3)
    world.sagemaker.quota = 0
    world.dispatching.run()
    (batch_id,) = world.batches.holders().values()
    for _ in range(5):
        batch = world.batches.get(batch_id)
        assert batch
        world.dispatching.resume(batch)
    assert world.batches.jobs_on("2026-11-23") == 1


def test_two_dispatchers_at_once_do_not_exceed_the_days_jobs() -> None:
    world, _ = filled(40, slots=4, worst_seconds=5, max_jobs_per_day=1)
    counted = world.batches.jobs_on
    world.batches.jobs_on = lambda day: 0  # type: ignore[method-assign]  # each looked before the other had opened
    assert len(world.dispatching.run()) == 1
    assert world.dispatching.run() == []
    assert counted("2026-11-23") == 1
    assert len(world.batches.holders()) == 1, "a refused batch holds no slot"


def test_a_model_that_is_too_slow_for_its_batches_gets_smaller_ones_until_another_is_promoted() -> None:
    world, _ = filled(64, slots=1, max_batch=64)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer, status="Stopped")
    world.collecting.collect(name)
    sizes = []
    for _ in range(4):
        world.wait(3600)
        (name,) = world.dispatching.run()
        sizes.append(len(world.sagemaker.jobs[name]["members"]))
        read(world, [name])
    assert sizes == [16, 16, 16, 16]
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    for number in range(300):
        world.ingesting.take(world.upload(f"later-{number}.dcm", ct(SOPInstanceUID=f"1.3.{number}")))
    world.batches.finish(stopped_batch(world), answered=0, stopped_of=64, now=timestamp(world.time))
    world.wait(3600)
    (name,) = world.dispatching.run()
    assert len(world.sagemaker.jobs[name]["members"]) == 16, "no new batch is as large as the one that was stopped"
    read(world, [name])
    (name,) = world.dispatching.run()
    assert len(world.sagemaker.jobs[name]["members"]) == 32, "a job that ends well is followed by one twice as large"
    read(world, [name])
    world.set_champion("wetread/2")
    (name,) = world.dispatching.run()
    assert len(world.sagemaker.jobs[name]["members"]) == 64, "another model may be faster"


def stopped_batch(world: World) -> Batch:
    """Return a submitted batch without rows, for the test to end."""
    now = timestamp(world.time)
    batch = Batch(
        batch_id="stopped",
        status=BatchStatus.CLAIMING,
        slot=0,
        model_name="wetread-1-abc",
        model_package="wetread/1",
        created_at=now,
        updated_at=now,
    )
    assert world.batches.open(batch, 1000) == Opening.OPENED
    world.batches.advance("stopped", [BatchStatus.CLAIMING], BatchStatus.SUBMITTED, now)
    return batch


def test_retries_of_poisoned_jobs_leave_a_slot_to_new_uploads() -> None:
    world, _ = filled(16, slots=3, max_batch=8, parallel_threshold=1)
    for _ in range(2):
        _fail_all(world)
    assert len(world.dispatching.run()) == 2, "eight pieces wait for two slots"
    event = world.upload("new.dcm", ct(SOPInstanceUID="1.3"))
    world.ingesting.take(event)
    (name,) = world.dispatching.run()
    assert world.sagemaker.jobs[name]["members"] == [world.row(event).instance_name]


@pytest.mark.parametrize("slots", [1, 4])
def test_where_retries_run_one_at_a_time_a_new_upload_is_read_within_two_jobs(slots: int) -> None:
    world, _ = filled(64, slots=slots, max_batch=8, parallel_threshold=1)
    for _ in range(8):
        _fail_all(world)
    event = world.upload("new.dcm", ct(SOPInstanceUID="1.3"))
    world.ingesting.take(event)
    read = [world.sagemaker.jobs[name]["members"] for _ in range(2) for name in _fail_all(world)]
    assert [world.row(event).instance_name] in read


def _fail_all(world: World) -> list[str]:
    """Start what may start, and have each job end without outputs; return the jobs' names."""
    names = world.dispatching.run()
    for name in names:
        world.sagemaker.end(name, lambda _body: None, status="Failed")
        world.collecting.collect(name)
    world.wait(LONGEST_PAUSE_SECONDS)
    return names


def test_a_job_has_the_stages_tags_beside_its_batch() -> None:
    world, _ = filled(1)
    shape = dataclasses.replace(world.dispatching.shape, resource_tags=("CostCentre=4711", "Empty="))
    (name,) = dataclasses.replace(world.dispatching, shape=shape).run()
    assert world.sagemaker.jobs[name]["Tags"][1:] == [
        {"Key": "CostCentre", "Value": "4711"},
        {"Key": "Empty", "Value": ""},
    ]
