"""Objects with answers that are bombs: each gets a terminal row, and costs no neighbour, slot, message or gauge."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from functions.aws.objects import MOST_DOCUMENT_BYTES
from functions.domain import layout, prediction
from functions.domain.errors import FailureCode
from functions.domain.row import Status
from functions.flow.collecting import ROW_TRIES
from functions.flow.marking import Marking
from functions.names import Metric
from tests.fakes.dicom import ct
from tests.fakes.minutes import Killed, Minutes, arrived, by_id, on_reading_outputs, outputs
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, WEIGHTS_SHA256, WORK, answer


@pytest.mark.parametrize(
    "error",
    [
        Killed,
        RuntimeError,
        MemoryError,
        lambda: client_error("ValidationException", "Item size has exceeded the maximum allowed size"),
        lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
)
@pytest.mark.parametrize(("bombs", "uploads"), [(1, 1), (1, 30), (16, 26), (20, 50), (48, 60)])
def test_uploads_that_cannot_be_settled_each_have_a_row_and_delay_no_other(
    error: Callable[[], BaseException], bombs: int, uploads: int
) -> None:
    world, ids = arrived(uploads)
    harmful = set(random.Random(bombs).sample(ids, bombs))
    on_reading_outputs(world, harmful, error)
    minutes = Minutes(world)
    minutes.run(400)
    rows = by_id(world)
    assert {rows[one].status for one in ids if one not in harmful} <= {Status.COMPLETED}
    assert {(rows[one].status, rows[one].code) for one in harmful} == {(Status.FAILED, FailureCode.NOT_COLLECTED)}
    assert {rows[one].collect_tries for one in harmful} == {ROW_TRIES}
    assert world.batches.holders() == {}
    assert minutes.dead_letters == 0
    assert minutes.events == []
    assert outputs(world) == []
    assert len(world.sagemaker.jobs) == 1


def test_neighbours_of_uploads_that_kill_have_their_answers_before_these_are_tried_a_second_time() -> None:
    world, ids = arrived(50)
    killers = set(ids[:20])
    on_reading_outputs(world, killers, Killed)
    minutes = Minutes(world)
    minutes.run(3 + 2 + len(killers))
    rows = by_id(world)
    assert all(rows[one].status == Status.COMPLETED for one in ids if one not in killers)
    assert {rows[one].collect_tries for one in killers} <= {1, 2}


@pytest.mark.parametrize("uploads", [1, 16, 26])
def test_outputs_without_an_end_are_not_read_to_it_and_fail_without_a_job_for_each(uploads: int) -> None:
    world, _ = arrived(uploads)
    bodies = {ct(SOPInstanceUID=f"1.2.{number}") for number in range(min(uploads, 16))}
    long = b'{"Schema":"prediction/1","SOPInstanceUID":"' + b"f" * (3 * prediction.MOST_BYTES)
    minutes = Minutes(world, container=lambda body: long if body in bodies else answer(body))
    world.s3.bytes_read = 0
    minutes.run(100)
    rows = by_id(world)
    assert {row.status for row in rows.values()} == {Status.FAILED} | ({Status.COMPLETED} if uploads > 16 else set())
    failed = [row for row in rows.values() if row.status == Status.FAILED]
    assert len(failed) == len(bodies)
    assert {row.code for row in failed} == {FailureCode.MALFORMED_PREDICTION}
    assert world.batches.holders() == {}
    assert minutes.dead_letters == 0
    jobs = len(world.sagemaker.jobs)
    assert jobs == 3
    assert world.s3.bytes_read < jobs * len(bodies) * (prediction.MOST_BYTES + 1) + 10**6
    assert outputs(world) == [], "also those of uploads that waited for another job"


@pytest.mark.parametrize("killer", [0, 1])  # whichever of the two slots its batch has
def test_a_batch_that_kills_the_sweep_keeps_no_other_batch_no_upload_and_no_measure(killer: int) -> None:
    world, ids = arrived(2, slots=2, max_batch=1, parallel_threshold=1)
    first, second = world.dispatching.run()
    on_reading_outputs(world, {ids[killer]}, Killed)
    for name in (first, second):
        world.sagemaker.end(name, answer)
    world.wait(200)
    later = world.upload("later.dcm", ct(SOPInstanceUID="1.3"))
    world.ingesting.take(later)
    for _ in range(3):
        world.reported.clear()
        with suppress(Killed):
            world.sweeping.run()
        assert Metric.OLDEST_PENDING_SECONDS in world.reported
        assert Metric.MODEL_MISSING in world.reported
        assert Metric.JOBS_SUBMITTED in world.reported
        world.wait(60)
    rows = by_id(world)
    assert rows[ids[1 - killer]].status == Status.COMPLETED
    assert world.row(later).status == Status.BATCHED


@pytest.mark.parametrize(
    "manifest", [None, b"", b"{", b"[" * 200_000, b"[1, 2]", b'"a"', b" " * (2 * 1024**2), b"\xff\xfe", b"null", b"[]"]
)
@pytest.mark.parametrize("uploads", [1, 5])
def test_a_batch_with_an_unreadable_manifest_is_given_back_and_read_by_another_job(
    manifest: bytes | None, uploads: int
) -> None:
    world, _ = arrived(uploads)
    (name,) = world.dispatching.run()
    key = layout.manifest_key(name.removeprefix("wetread-"))
    world.s3.objects.pop((WORK, key))
    if manifest is not None:
        world.s3.objects[WORK, key] = manifest
    minutes = Minutes(world)
    minutes.run(100)
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert len(world.sagemaker.jobs) == 2
    assert world.batches.holders() == {}
    assert minutes.dead_letters == 0
    assert world.s3.longest_read <= MOST_DOCUMENT_BYTES + 1


def test_a_batch_that_fails_to_dispatch_each_time_is_given_back() -> None:
    world, _ = arrived(3, slots=1)

    def reading(key: str) -> None:
        batches = [one for one in world.dynamodb.tables["batches"] if one.startswith("BATCH#")]
        if key.endswith("candidates.json") and len(batches) == 1:
            raise Killed

    world.s3.reading = reading
    with pytest.raises(Killed):
        world.dispatching.run()
    minutes = Minutes(world)
    minutes.run(100)
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_job_that_starts_late_is_found_before_its_batch_is_given_back() -> None:
    world, ids = arrived(3, slots=1)
    start = world.sagemaker.create_transform_job
    late: list[dict[str, object]] = []

    def hang(**request: object) -> object:
        late.append(request)
        raise Killed

    world.sagemaker.create_transform_job = hang  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.dispatching.run()
    for _ in range(40):  # each sweep dies as dispatch did, until the tries are used
        world.wait(60)
        with suppress(Killed):
            world.sweeping.run()
    assert world.batches.holders()
    start(**late[0])  # the first of them goes through after all
    world.sagemaker.create_transform_job = start  # type: ignore[method-assign]
    Minutes(world).run(30)
    assert len(world.sagemaker.jobs) == 1
    assert {by_id(world)[one].status for one in ids} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_batch_with_a_vanished_job_is_given_back() -> None:
    world, _ = arrived(3)
    world.dispatching.run()
    world.sagemaker.jobs.clear()
    Minutes(world).run(200)
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_row_that_cannot_even_be_written_is_left_behind_and_its_slot_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ids = arrived(5)
    update = world.dynamodb.update_item

    def refusing(**request: object) -> object:
        status = request.get("ExpressionAttributeValues", {}).get(":batch")  # type: ignore[attr-defined]
        if request["TableName"] == "index" and request["Key"]["UploadId"]["S"] == ids[0] and status:  # type: ignore[index]
            raise client_error("ValidationException", "Item size to update has exceeded the maximum allowed size")
        return update(**request)

    (name,) = world.dispatching.run()
    monkeypatch.setattr(world.dynamodb, "update_item", refusing)
    world.sagemaker.end(name, answer)
    minutes = Minutes(world, events=[(1, 1, name)])
    minutes.run(60)
    rows = by_id(world)
    assert {rows[one].status for one in ids[1:]} == {Status.COMPLETED}
    assert rows[ids[0]].status == Status.BATCHED
    assert world.batches.holders() == {}
    assert minutes.dead_letters == 0


def test_an_item_that_is_not_a_row_hides_no_other() -> None:
    world, ids = arrived(3)
    del world.dynamodb.tables["index"][ids[0]]["UpdatedAt"]
    Minutes(world).run(20)
    assert {row.status for row in world.index.get_many(ids[1:]).values()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_malformed_existing_result_ends_only_its_upload() -> None:
    world, _ = arrived(3)
    sha = hashlib.sha256(ct(SOPInstanceUID="1.2.0")).hexdigest()
    key = layout.prediction_key(layout.prediction_id(sha, "wetread/1", WEIGHTS_SHA256))
    world.s3.objects[RESULTS, key] = b'{"Class": {}, "Probabilities": []}'
    Minutes(world).run(60)
    statuses = sorted(row.status for row in world.rows())
    assert statuses == [Status.COMPLETED, Status.COMPLETED, Status.FAILED]
    assert world.batches.holders() == {}


def test_an_empty_output_is_no_answer() -> None:
    world, _ = arrived(1)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, lambda _body: b"")
    outcome = world.collecting.collect(name)
    assert outcome
    assert outcome.retried == 1


def test_an_answer_of_other_weights_than_the_batch_serves_is_a_mismatch() -> None:
    world, _ = arrived(2)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    world.dynamodb.tables["batches"][f"BATCH#{name.removeprefix('wetread-')}"]["WeightsSHA256"] = {"S": "ab" * 32}
    outcome = world.collecting.collect(name)
    assert outcome
    assert (outcome.completed, outcome.retried) == (0, 2)
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert batch.weights_sha256 == "ab" * 32


def test_a_job_counts_as_answered_after_a_collector_deleted_its_outputs_and_died() -> None:
    world, _ = arrived(2)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)

    def dying(operation: str, when: str) -> None:
        if (operation, when) == ("delete_objects", "after"):
            raise Killed

    world.clients["s3"].interfere = dying
    with pytest.raises(Killed):
        world.collecting.collect(name)
    world.clients["s3"].interfere = lambda _operation, _when: None
    assert outputs(world) == []
    world.collecting.collect(name)
    assert world.batches.health().barren_jobs == 0
    assert {row.status for row in world.rows()} == {Status.COMPLETED}


def test_a_row_that_cannot_be_claimed_keeps_no_other_from_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ids = arrived(5)
    write = world.dynamodb.transact_write_items

    def refusing(**request: Any) -> Any:
        keys = [next(iter(action.values())).get("Key", {}).get("UploadId") for action in request["TransactItems"]]
        if {"S": ids[1]} in keys:
            reasons = [{"Code": "ValidationError" if key == {"S": ids[1]} else "None"} for key in keys]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)
        return write(**request)

    monkeypatch.setattr(world.dynamodb, "transact_write_items", refusing)
    Minutes(world).run(10)
    rows = by_id(world)
    assert {rows[one].status for one in ids if one != ids[1]} == {Status.COMPLETED}
    assert rows[ids[1]].status == Status.PENDING
    assert world.batches.holders() == {}


def test_a_version_that_cannot_be_marked_keeps_no_other_from_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = arrived(0)
    for version in ("wetread/1", "wetread/2"):
        world.champions.mark_again(version)
    tried: list[str] = []

    def mark(_marking: Marking, version: str) -> int:
        tried.append(version)
        raise ValueError(version)

    monkeypatch.setattr(Marking, "mark", mark)
    assert world.sweeping.run().failures == 1
    assert tried == ["wetread/1", "wetread/2"]
