"""Objects with answers that are bombs: each gets a terminal row, and costs no neighbour, slot, message or gauge."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.aws.objects import MOST_DOCUMENT_BYTES
from functions.domain import layout, prediction
from functions.domain.batch import Batch, BatchStatus
from functions.domain.errors import FailureCode
from functions.domain.row import Row, Status, timestamp
from functions.flow.collecting import ROW_TRIES
from functions.flow.marking import Marking
from functions.flow.settling import Settling
from functions.flow.trying import MOST_TRIES, TOGETHER_TRIES, TROUBLE_SECONDS
from functions.names import Metric
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, WEIGHTS_SHA256, WORK, World, answer

RECEIVES = 5
VISIBILITY_MINUTES = 30


class Killed(BaseException):
    """Lambda kills the function: it needed more memory or time than it has."""


@dataclass
class Minutes:
    """A world, minute by minute: sweeps, ticks, ended jobs, and job events as their queue delivers them."""

    world: World
    container: Callable[[bytes], bytes | None] = answer
    events: list[tuple[int, int, str]] = field(default_factory=list)
    dead_letters: int = 0
    now: int = 0

    def run(self, minutes: int) -> None:
        """Until all rows have ended and no slot is held."""
        for _ in range(minutes):
            self.now += 1
            self.world.wait(60)
            self._deliver()
            if self.world.queue.sent:
                self.world.queue.sent.pop()
                self._survive(self.world.dispatching.run)
            self._survive(self.world.sweeping.run)
            for name in self.world.sagemaker.live():
                self.world.sagemaker.end(name, self.container)
                self.events.append((self.now + 1, 1, name))
            if all(row.status.terminal for row in self.world.rows()) and not self.world.batches.holders():
                break
        self.world.wait(VISIBILITY_MINUTES * 60)
        self.now += VISIBILITY_MINUTES
        self._deliver()

    def _deliver(self) -> None:
        for event in list(self.events):
            due, receives, name = event
            if due <= self.now:
                self.events.remove(event)
                if not self._survive(lambda name=name: self.world.collecting.collect(name)):  # type: ignore[misc]
                    if receives == RECEIVES:
                        self.dead_letters += 1
                    else:
                        self.events.append((self.now + VISIBILITY_MINUTES, receives + 1, name))

    def _survive(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except (Exception, Killed):
            return False
        return True


def arrived(count: int, **settings: int) -> tuple[World, list[str]]:
    """Return a world with a champion and pending uploads; their ids."""
    world = World(**settings)  # type: ignore[arg-type]
    world.set_champion()
    for number in range(count):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    return world, [row.upload_id for row in world.rows()]


def on_reading_outputs(world: World, uploads: set[str], error: Callable[[], BaseException]) -> None:
    """Let reading the output of any of ``uploads`` raise."""

    def reading(key: str) -> None:
        if layout.upload_of_output(key) in uploads:
            raise error()

    world.s3.reading = reading


def by_id(world: World) -> dict[str, Row]:
    return {row.upload_id: row for row in world.rows()}


def outputs(world: World) -> list[str]:
    return [key for bucket, key in world.s3.objects if bucket == WORK and key.startswith("outputs/")]


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


def test_passing_trouble_costs_no_upload_its_answer_for_a_day_and_loses_no_message() -> None:
    world, ids = arrived(3)
    on_reading_outputs(world, {ids[0]}, lambda: client_error("AccessDenied"))
    minutes = Minutes(world)
    minutes.run(TROUBLE_SECONDS // 60 - 60)
    rows = by_id(world)
    assert rows[ids[0]].status == Status.BATCHED
    assert {rows[one].status for one in ids[1:]} == {Status.COMPLETED}
    world.s3.reading = lambda _key: None
    minutes.run(5)
    assert {row.status for row in world.rows()} == {Status.COMPLETED}


def test_trouble_that_lasts_for_days_ends_too() -> None:
    world, ids = arrived(3)
    on_reading_outputs(world, {ids[0]}, lambda: client_error("AccessDenied"))
    Minutes(world).run(TROUBLE_SECONDS // 60 + 60)
    rows = by_id(world)
    assert (rows[ids[0]].status, rows[ids[0]].code) == (Status.FAILED, FailureCode.NOT_COLLECTED)
    assert world.batches.holders() == {}


def test_trouble_takes_back_the_try_that_it_ended() -> None:
    world, ids = arrived(3)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), lambda: client_error("SlowDown", "GetObject"))
    for _ in range(10):
        with pytest.raises(ClientError, match="SlowDown"):
            world.collecting.collect(name)
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert batch.tries == 0


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
    assert {world.dynamodb.tables["index"][one]["Status"]["S"] for one in ids[1:]} == {Status.COMPLETED}
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


def test_a_batch_counts_a_try_before_it_is_made() -> None:
    world, ids = arrived(1)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), Killed)
    with pytest.raises(Killed):
        world.collecting.collect(name)
    batch = world.batches.get(name.removeprefix("wetread-"))
    assert batch
    assert (batch.tries, batch.status) == (1, BatchStatus.SUBMITTED)
    assert batch.tries < MOST_TRIES


def alone(count: int) -> tuple[World, list[str], str]:
    """Return a batch that has failed as a whole."""
    world, ids = arrived(count)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    on_reading_outputs(world, set(ids), RuntimeError)
    for _ in range(TOGETHER_TRIES):
        with pytest.raises(RuntimeError):
            world.collecting.collect(name)
    return world, ids, name


def test_a_batch_that_failed_as_a_whole_is_left_to_the_sweep_and_its_message_is_done() -> None:
    world, _, name = alone(3)
    world.s3.reading = lambda _key: None
    assert world.collecting.collect(name) is None
    assert list(world.batches.holders().values()) == [name.removeprefix("wetread-")]
    world.wait(200)
    world.sweeping.run()
    assert {row.status for row in world.rows()} == {Status.COMPLETED}
    assert world.batches.holders() == {}


def test_a_row_that_another_sweep_tries_is_left_to_it_and_the_batch_stays_open() -> None:
    world, _, name = alone(1)

    def reading(key: str) -> None:
        if key.startswith("outputs/"):
            world.s3.reading = lambda _key: None
            other = world.collecting.collect_alone(name)
            assert other
            assert other.completed == 0
            assert world.batches.holders()

    world.s3.reading = reading
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 1
    assert world.batches.holders() == {}


def last_try_ends_in(error: BaseException) -> tuple[World, str, Status]:
    """Let a collector make the last try of a row, and another see it; return the world, the job, what the other saw."""
    world, (row,), name = alone(1)
    for _ in range(ROW_TRIES - 1):
        on_reading_outputs(world, {row}, lambda: ValueError("each time"))
        with pytest.raises(ValueError, match="each time"):
            world.collecting.collect_alone(name)
        world.wait(60)

    def reading(key: str) -> None:
        if key.startswith("outputs/"):
            world.s3.reading = lambda _key: None
            world.collecting.collect_alone(name)
            raise error

    world.s3.reading = reading
    with pytest.raises(type(error)):
        world.collecting.collect_alone(name)
    return world, name, by_id(world)[row].status


@pytest.mark.parametrize(
    "error", [ValueError("each time"), client_error("SlowDown", "GetObject")], ids=["its own", "AWS's"]
)
def test_a_row_is_not_given_up_while_another_function_makes_its_last_try(error: Exception) -> None:
    world, name, seen = last_try_ends_in(error)
    assert seen == Status.BATCHED
    world.wait(60)
    world.collecting.collect_alone(name)
    assert world.rows()[0].status == (Status.FAILED if isinstance(error, ValueError) else Status.COMPLETED)


def test_a_row_is_not_given_up_whose_last_try_is_taken_back_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    world, (row,), name = alone(1)
    for tries in range(ROW_TRIES):
        before = by_id(world)[row]
        assert world.index.note_try(before, before.batch_id or "", timestamp(world.time), "9999")
        last = replace(before, collect_tries=tries), timestamp(world.time)
    world.wait(60)
    give_up = Settling.give_up

    def after_it_is_taken_back(settling: Settling, given_up: Row, batch: Batch) -> Status | None:
        world.index.forgive_try(last[0], last[0].batch_id or "", last[1])
        return give_up(settling, given_up, batch)

    monkeypatch.setattr(Settling, "give_up", after_it_is_taken_back)
    world.collecting.collect_alone(name)
    assert by_id(world)[row].status == Status.BATCHED
    assert by_id(world)[row].collect_tries == ROW_TRIES - 1


def test_rows_that_take_too_long_one_by_one_are_left_to_the_next_sweep() -> None:
    world, _, name = alone(5)
    world.s3.reading = lambda key: world.wait(25) if key.startswith("outputs/") else None
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 3
    world.wait(60)
    outcome = world.collecting.collect_alone(name)
    assert outcome
    assert outcome.completed == 2
    assert world.batches.holders() == {}


def test_a_row_that_was_settled_alone_or_requeued_has_no_tries_left_on_it() -> None:
    world, ids, name = alone(2)
    world.s3.objects.pop(next((bucket, key) for bucket, key in world.s3.objects if f"{ids[0]}.dcm.out" in key))
    world.s3.reading = lambda _key: None
    world.collecting.collect_alone(name)
    assert {row.status for row in world.rows()} == {Status.COMPLETED, Status.PENDING}
    assert {(row.collect_tries, row.collect_tried_at) for row in world.rows()} == {(None, None)}


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
