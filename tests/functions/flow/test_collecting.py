"""An ended job settles every row of its batch: verified, failed for good, or pending again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.aws.objects import Documents
from functions.domain import layout
from functions.domain.prediction import check_result
from functions.domain.row import Row, Status
from functions.flow.collecting import Collected
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, World, answer


def running(count: int) -> tuple[World, str]:
    world = World()
    world.set_champion()
    for number in range(count):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    (name,) = world.dispatching.run()
    return world, name


def test_a_completed_job_completes_its_rows_and_frees_its_slot() -> None:
    world, name = running(3)
    world.sagemaker.end(name, answer)
    assert world.collecting.collect(name) == Collected(completed=3)
    row = world.rows()[0]
    assert (row.status, row.predicted_class, row.model_package) == (Status.COMPLETED, "covid", "wetread/1")
    assert row.probabilities == {"normal": 0.125, "cap": 0.125, "covid": 0.75}
    assert (RESULTS, row.prediction_key) in world.s3.objects
    document = Documents(world.s3, RESULTS).read(str(row.prediction_key))
    assert (document["ModelPackage"], document["Form"], document["Class"]) == ("wetread/1", "torch", "covid")
    assert world.batches.holders() == {}


def test_the_notes_of_an_answer_are_on_the_row_and_in_its_result() -> None:
    world, name = running(1)
    notes = ["The slice was turned.", "Padding is air."]
    world.sagemaker.end(name, lambda body: answer(body, Notes=notes))
    world.collecting.collect(name)
    (row,) = world.rows()
    assert row.prediction_notes == tuple(notes)
    assert Documents(world.s3, RESULTS).read(str(row.prediction_key))["Notes"] == notes


UNLIKE = {"Score": 3.5, "Threshold": 0.5, "Abstained": True}


def test_an_abstained_row_has_no_class_that_could_be_read_as_one_and_its_result_has_what_was_computed() -> None:
    world, name = running(1)
    world.sagemaker.end(name, lambda body: answer(body, Class=None, Typicality=UNLIKE))
    world.collecting.collect(name)
    (row,) = world.rows()
    assert (row.status, row.predicted_class, row.probabilities) == (Status.COMPLETED, None, {})
    assert (row.abstained, row.typicality) == (True, UNLIKE)
    document = Documents(world.s3, RESULTS).read(str(row.prediction_key))
    assert (document["Class"], document["Typicality"]) == (None, UNLIKE)
    assert document["Probabilities"] == {"normal": 0.125, "cap": 0.125, "covid": 0.75}


def test_the_same_bytes_again_are_abstained_on_again() -> None:
    world = World()
    world.set_champion()
    for key in ("a.dcm", "b.dcm"):
        world.ingesting.take(world.upload(key, ct(SOPInstanceUID="1.2.3")))
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, lambda body: answer(body, Class=None, Typicality=UNLIKE))
    world.collecting.collect(name)
    assert [(row.predicted_class, row.abstained) for row in world.rows()] == [(None, True)] * 2


def test_that_a_model_is_unsure_and_how_typical_an_object_is_are_on_the_row_and_in_its_result() -> None:
    world, name = running(1)
    like = {"Score": 0.25, "Threshold": 0.5, "Abstained": False}
    world.sagemaker.end(name, lambda body: answer(body, Typicality=like, Unsure=True))
    world.collecting.collect(name)
    (row,) = world.rows()
    assert (row.predicted_class, row.typicality, row.unsure) == ("covid", like, True)
    document = Documents(world.s3, RESULTS).read(str(row.prediction_key))
    assert (document["Typicality"], document["Unsure"]) == (like, True)


def test_what_a_model_of_phantoms_answers_is_marked_on_the_row_and_in_its_result() -> None:
    world, name = running(2)
    error = {"Code": "UndecodablePixelData", "Message": "The pixels end early."}
    bodies: list[bytes] = []

    def of_phantoms(body: bytes) -> bytes:
        bodies.append(body)
        return answer(body, Synthetic=True, **({"Error": error} if len(bodies) == 2 else {}))

    world.sagemaker.end(name, of_phantoms)
    assert world.collecting.collect(name) == Collected(completed=1, failed=1)
    assert [row.synthetic for row in world.rows()] == [True, True]
    (key,) = [row.prediction_key for row in world.rows() if row.prediction_key]
    assert Documents(world.s3, RESULTS).read(key)["Synthetic"] is True


def test_a_model_of_real_slices_leaves_no_mark() -> None:
    world, name = running(1)
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    (row,) = world.rows()
    assert "Synthetic" not in row.to_json()
    assert "Synthetic" not in Documents(world.s3, RESULTS).read(str(row.prediction_key))


def test_an_answer_of_an_older_container_completes_its_row_without_notes() -> None:
    world, name = running(1)

    def older(body: bytes) -> bytes:
        document = json.loads(answer(body, Schema="prediction/1"))
        del document["Notes"]
        return json.dumps(document).encode()

    world.sagemaker.end(name, older)
    assert world.collecting.collect(name) == Collected(completed=1)
    (row,) = world.rows()
    assert row.prediction_notes == ()
    assert "PredictionNotes" not in row.to_json()


def test_a_result_that_an_older_collector_wrote_is_used_without_notes() -> None:
    world, name = running(2)
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    key = (RESULTS, str(world.rows()[0].prediction_key))
    document = json.loads(world.s3.objects[key])
    assert document.pop("Notes") == []
    world.s3.objects[key] = json.dumps(document | {"Schema": "prediction/1"}).encode()
    assert check_result(json.loads(world.s3.objects[key]))["Schema"] == "prediction/1"


def test_collecting_twice_changes_nothing() -> None:
    world, name = running(3)
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    before = world.rows()
    world.wait(5)
    assert world.collecting.collect(name) is None
    assert world.rows() == before


def test_a_job_without_one_output_that_two_collect_at_once_counts_once() -> None:
    world, name = running(1)
    world.sagemaker.end(name, lambda _body: None)

    def overtake(operation: str, when: str) -> None:
        if (operation, when) == ("describe_transform_job", "after"):
            world.clients["sagemaker"].interfere = lambda *_: None
            world.collecting.collect(name)

    world.clients["sagemaker"].interfere = overtake
    world.collecting.collect(name)
    assert world.batches.health().barren_jobs == 1, "two would soon make the service wait for longer"


def test_a_running_job_and_a_foreign_one_are_left_alone() -> None:
    world, name = running(1)
    assert world.collecting.collect(name) is None
    assert world.collecting.collect("another-stages-job") is None
    assert world.collecting.collect("wetread-unknown") is None
    assert world.rows()[0].status == Status.BATCHED


def test_the_containers_refusal_is_a_failed_row_with_its_code() -> None:
    world, name = running(2)
    world.sagemaker.end(
        name, lambda body: answer(body, Error={"Code": "UndecodablePixelData", "Message": "The pixel data end early."})
    )
    assert world.collecting.collect(name) == Collected(failed=2)
    assert {(row.code, row.reason) for row in world.rows()} == {("UndecodablePixelData", "The pixel data end early.")}


def test_a_failed_job_is_collected_as_partial() -> None:
    world, name = running(4)
    lucky = iter([True, True, False, False])
    world.sagemaker.end(name, lambda body: answer(body) if next(lucky) else None)
    assert world.collecting.collect(name) == Collected(completed=2, retried=2, jobs_failed=1)
    waiting = [row for row in world.rows() if row.status == Status.PENDING]
    assert {row.attempt for row in waiting} == {1}
    assert {row.transform_job_name for row in waiting} == {None}


def test_a_completed_job_without_outputs_counts_as_failed() -> None:
    world, name = running(2)
    world.sagemaker.end(name, lambda _body: None, status="Completed")
    assert world.collecting.collect(name) == Collected(retried=2)


@pytest.mark.parametrize("output", [lambda body: answer(b"other"), lambda body: b"ERROR"])
def test_an_output_that_is_not_an_answer_to_the_rows_bytes_is_never_a_result(
    output: Callable[[bytes], bytes],
) -> None:
    world, name = running(1)
    world.sagemaker.end(name, output)
    assert world.collecting.collect(name) == Collected(retried=1)
    assert world.rows()[0].predicted_class is None


def test_a_row_that_cannot_be_settled_keeps_no_neighbour_from_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world, name = running(20)
    world.sagemaker.end(name, answer)
    write, broken = world.index.leave_batch, world.rows()[7].upload_id

    def failing(upload_id: str, *arguments: object, **tried: object) -> bool:
        if upload_id == broken:
            raise OSError("the table is having a moment")
        return write(upload_id, *arguments, **tried)  # type: ignore[arg-type]

    monkeypatch.setattr(world.index, "leave_batch", failing)
    with pytest.raises(OSError, match="moment"):
        world.collecting.collect(name)
    assert sum(row.status == Status.COMPLETED for row in world.rows()) == 19
    monkeypatch.undo()
    assert world.collecting.collect(name) == Collected(completed=1)
    assert world.batches.holders() == {}


def test_a_row_that_an_operator_deleted_is_passed_over() -> None:
    world, name = running(3)
    world.sagemaker.end(name, answer)
    world.dynamodb.tables["index"].pop(world.rows()[0].upload_id)
    assert world.collecting.collect(name) == Collected(completed=2)


def test_copies_of_ended_uploads_are_deleted_and_those_of_others_kept() -> None:
    world, name = running(2)
    lucky = iter([True, False])
    world.sagemaker.end(name, lambda body: answer(body) if next(lucky) else None)
    world.collecting.collect(name)
    kept = [key for bucket, key in world.s3.objects if key.startswith("instances/")]
    assert kept == [f"instances/{row.upload_id}.dcm" for row in world.rows() if row.status == Status.PENDING]


class Death(BaseException):
    """Lambda ends the function at its timeout."""


def test_a_collect_that_dies_halfway_is_completed_by_the_next_without_settling_rows_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("functions.flow.collecting.CHUNK", 10)
    world, name = running(45)
    world.sagemaker.end(name, answer)
    written: list[str] = []

    def dying(operation: str, when: str) -> None:
        if operation == "update_item" and when == "after":
            written.append(operation)
        if len(written) >= 25:
            raise Death

    for wire in world.clients.values():
        wire.interfere = dying
    with pytest.raises(Death):
        world.collecting.collect(name)
    for wire in world.clients.values():
        wire.interfere = lambda _operation, _when: None
    settled = {row.upload_id: row for row in world.rows() if row.status == Status.COMPLETED}
    assert 24 <= len(settled) < 45  # the first update counts the try
    # A collect that died between a result and its row left the result, which the next one reads and compares.
    orphans = sum(bucket == RESULTS for bucket, _ in world.s3.objects) - len(settled)
    assert list(world.batches.holders().values()) == [layout.batch_of_job("wetread", name)]

    world.wait(300)
    world.s3.reads = 0
    assert world.collecting.collect(name) == Collected(completed=45 - len(settled))
    assert world.s3.reads == 1 + 45 - len(settled) + orphans  # the manifest, and no output of a row that was settled
    assert {one: world.index.get(one) for one in settled} == settled
    assert all(row.status == Status.COMPLETED for row in world.rows())
    assert not [key for _, key in world.s3.objects if key.startswith("instances/")]
    assert world.batches.holders() == {}


def test_only_some_rows_are_held_at_once_and_each_copy_goes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.flow.collecting.CHUNK", 10)
    world, name = running(25)
    world.sagemaker.end(name, answer)
    read, copies = world.index.get_many, []
    asked: list[int] = []

    def get_many(upload_ids: Iterable[str]) -> dict[str, Row]:
        ids = list(upload_ids)
        asked.append(len(ids))
        copies.append(sum(key.startswith("instances/") for _, key in world.s3.objects))
        return read(ids)

    monkeypatch.setattr(world.index, "get_many", get_many)
    assert world.collecting.collect(name) == Collected(completed=25)
    assert asked == [10, 10, 5]
    assert copies == [25, 15, 5]


def test_copies_that_could_not_be_deleted_keep_no_row_from_its_answer_and_go_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("functions.flow.collecting.CHUNK", 10)
    world, name = running(25)
    world.sagemaker.end(name, answer)

    def refusing(operation: str, _when: str) -> None:
        if operation == "delete_objects":
            raise client_error("SlowDown")

    world.clients["s3"].interfere = refusing
    with pytest.raises(ClientError, match="SlowDown"):
        world.collecting.collect(name)
    assert all(row.status == Status.COMPLETED for row in world.rows())
    world.clients["s3"].interfere = lambda _operation, _when: None
    assert world.collecting.collect(name) == Collected()
    assert not [key for _, key in world.s3.objects if key.startswith("instances/")]
    assert world.batches.holders() == {}


def test_copies_that_s3_does_not_delete_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, name = running(3)
    world.sagemaker.end(name, answer)
    errors = [{"Key": "instances/a.dcm", "Code": "AccessDenied", "Message": "Access Denied"}] * 3
    monkeypatch.setattr(world.s3, "delete_objects", lambda **_: {"Errors": errors})
    assert world.collecting.collect(name) == Collected(completed=3)
    (logged,) = [one for one in caplog.records if one.message == "objects not deleted"]
    assert (logged.__dict__["objects"], logged.__dict__["codes"]) == (3, ["AccessDenied"])
    assert world.batches.holders() == {}, "they expire with the bucket's rule, and no batch waits for that"


def test_the_same_bytes_under_two_keys_have_one_answer() -> None:
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload("a.dcm", ct()))
    world.ingesting.take(world.upload("b.dcm", ct()))
    (name,) = world.dispatching.run()
    slower = iter([1.0, 2.0])
    world.sagemaker.end(name, lambda body: answer(body, TimingsMs={"Decode": next(slower)}))
    world.collecting.collect(name)
    first, second = world.rows()
    assert first.prediction_key == second.prediction_key
    assert first.timings_ms == second.timings_ms


def test_the_uploads_of_a_stopped_job_are_read_again_in_four_jobs() -> None:
    """AWS stores nothing of a stopped job; read together again, its uploads would be stopped again."""
    world = World(slots=4)
    world.set_champion()
    for number in range(8):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    (name,) = world.dispatching.run()
    world.sagemaker.stop_transform_job(TransformJobName=name)
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    assert {row.status for row in world.rows()} == {Status.PENDING}
    assert sorted(Counter(row.retry_group for row in world.rows()).values()) == [2, 2, 2, 2]
    assert {row.attempt for row in world.rows()} == {1}


UNREADABLE = {"Error": {"Code": "UndecodablePixelData", "Message": "The pixel data end early."}}


@pytest.mark.parametrize("changes", [{}, UNREADABLE], ids=["prediction", "error"])
@pytest.mark.parametrize(
    ("model", "code"),
    [({"WeightsSHA256": "ee" * 32}, "OutputMismatch"), ({"WeightsSHA256": "DOE^JANE"}, "MalformedPrediction")],
)
def test_an_answer_of_another_model_than_the_batchs_is_never_the_rows(
    model: dict[str, str], code: str, changes: dict[str, Any]
) -> None:
    world, name = running(1)
    for _ in range(3):
        world.sagemaker.end(name, lambda body: answer(body, Model=model, **changes))
        world.collecting.collect(name)
        world.wait(4000)
        name = next(iter(world.dispatching.run()), name)
    (row,) = world.rows()
    assert (row.status, row.code, row.predicted_class) == (Status.FAILED, code, None)
    assert "DOE" not in (row.reason or "")


def test_a_batch_from_before_weights_were_recorded_is_collected_as_it_was() -> None:
    world, name = running(1)
    for item in world.dynamodb.tables["batches"].values():
        item.pop("WeightsSHA256", None)
    world.sagemaker.end(name, lambda body: answer(body, Model={"WeightsSHA256": "ee" * 32}))
    assert world.collecting.collect(name) == Collected(completed=1)
