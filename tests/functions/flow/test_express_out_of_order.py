"""An express lane that is out of order: refused, without answers, with records that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.aws.items import to_item
from functions.aws.jobs import Creation, JobStatus
from functions.domain import layout
from functions.domain.lane import END_SECONDS, LEAST, RUN_SECONDS, START_SECONDS
from functions.domain.row import Status
from functions.names import OUTPUTS
from tests.fakes.dicom import ct
from tests.fakes.world import WORK, World, answer, express_limits
from tests.functions.flow.test_express import died_after_its_order, dies, express, run, states
from tests.simulation.actors import Crash
from tests.simulation.express import Environments


def test_many_runs_at_once_without_any_output_keep_no_job_from_starting() -> None:
    world = express(10 * LEAST, express_concurrency=10)
    world.dispatching.run()
    for number in range(10):
        run(world, lambda _body: None, of=number)
    assert world.dispatching.run(), "ten jobs without output would be followed by a pause"
    assert world.sagemaker.jobs


def test_what_several_runs_left_without_an_answer_goes_into_one_job() -> None:
    world = express(4 * LEAST, express_concurrency=4)
    world.dispatching = replace(world.dispatching, limits=replace(world.dispatching.limits, max_batch=1000))
    world.dispatching.run()
    for number in range(4):
        run(world, lambda _body: None, of=number)
    (name,) = world.dispatching.run()
    assert len(world.manifest(name)) == 4 * LEAST


def test_runs_at_once_start_though_the_index_still_shows_what_the_first_has_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = express(4 * LEAST, express_concurrency=4, express_max=600)
    world.dispatching = replace(world.dispatching, limits=replace(world.dispatching.limits, max_batch=1000))
    shown = world.index.pending(1000)
    monkeypatch.setattr(type(world.index), "pending", lambda *_, **__: shown)
    assert len(world.dispatching.run()) == 4
    assert {len(world.manifest(order["Job"])) for order in world.functions.waiting} == {LEAST}


def test_runs_say_nothing_about_how_many_uploads_fit_in_a_job() -> None:
    world = express()
    world.dispatching.run()
    (batch_id,) = world.batches.holders().values()
    batch = world.batches.get(batch_id)
    assert batch
    slow = {"Id": "HEALTH", "BarrenJobs": 0, "LastAt": "", "MostUploads": 2, "SlowPackage": batch.model_package}
    world.dynamodb.tables["batches"]["HEALTH"] = to_item(slow)
    run(world)
    assert world.batches.health().most_uploads == 2


def with_slots(world: World, slots: int, **lane: int) -> None:
    """Deploy other limits while batches are out."""
    limits = replace(world.dispatching.limits, slots=slots)
    world.dispatching = replace(world.dispatching, limits=limits, express=express_limits(**lane))


def test_no_more_runs_start_at_once_than_the_limits_say_when_these_change_while_runs_are_out() -> None:
    world = express(3 * LEAST, express_concurrency=3)
    assert len(world.dispatching.run()) == 3
    for number in range(LEAST):
        world.ingesting.take(world.upload(f"late{number}.dcm", ct(SOPInstanceUID=f"1.3.{number}")))
    for slots, at_once in ((5, 3), (1, 3), (5, 2)):
        with_slots(world, slots, express_concurrency=at_once)
        assert world.dispatching.run() == []
    with_slots(world, 5, express_concurrency=4)
    assert len(world.dispatching.run()) == 1


def test_no_more_jobs_start_at_once_than_the_slots_when_these_become_fewer_while_jobs_are_out() -> None:
    world = express(8, express_max=3)
    world.dispatching = replace(world.dispatching, limits=replace(world.dispatching.limits, max_batch=4))
    world.wait(world.dispatching.limits.max_wait_seconds)
    assert len(world.dispatching.run()) == 2
    with_slots(world, 1, express_max=3)
    for number in range(8):
        world.ingesting.take(world.upload(f"late{number}.dcm", ct(SOPInstanceUID=f"1.3.{number}")))
    (of_fewest,) = (name for name, slot in slots_of(world).items() if slot == 0)
    world.sagemaker.end(of_fewest, answer)
    world.collecting.collect(of_fewest)
    world.wait(world.dispatching.limits.max_wait_seconds)
    assert world.dispatching.run() == [], "the other job is still out"


def slots_of(world: World) -> dict[str, int]:
    return {layout.job_name("wetread", batch): slot for slot, batch in world.batches.holders().items()}


@pytest.mark.parametrize("code", ["TooManyRequestsException", "AccessDeniedException"])
def test_a_run_that_lambda_does_not_take_for_minutes_leaves_its_uploads_to_a_job(code: str) -> None:
    world = express()
    world.functions.refusing = code
    with suppress(ClientError):
        world.dispatching.run()
    world.wait(START_SECONDS)
    world.sweeping.run()
    assert states(world) == {(Status.PENDING, None)}
    world.dispatching.run()
    assert len(world.sagemaker.jobs) == 1
    assert {row.attempt for row in world.rows()} == {0}


@pytest.mark.parametrize("code", ["TooManyRequestsException", "ThrottlingException", "ServiceException"])
def test_while_lambda_has_no_room_a_batch_waits_and_no_alarm_rings(code: str) -> None:
    world = express()
    world.functions.refusing = code
    assert world.dispatching.run() == []
    assert states(world) == {(Status.BATCHED, "express")}


@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "InvalidParameterValueException", "InvalidRequestContentException"]
)
def test_a_function_that_never_starts_as_it_is_leaves_its_uploads_to_a_job_at_once(code: str) -> None:
    world = express()
    world.functions.refusing = code
    assert world.dispatching.run() == []
    assert states(world) == {(Status.PENDING, None)}


def test_every_other_refusal_is_an_error_of_the_dispatcher_which_raises_its_alarm() -> None:
    world = express()
    world.functions.refusing = "AccessDeniedException"
    with pytest.raises(ClientError, match="AccessDenied"):
        world.dispatching.run()
    assert states(world) == {(Status.BATCHED, "express")}


def test_a_function_that_is_not_reached_for_minutes_leaves_its_uploads_to_a_job() -> None:
    world = express()

    def invoke(**_request: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda")

    world.functions.invoke = invoke  # type: ignore[method-assign,assignment]
    with pytest.raises(EndpointConnectionError):
        world.dispatching.run()
    world.wait(START_SECONDS)
    world.sweeping.run()
    assert states(world) == {(Status.PENDING, None)}


def test_a_batch_whose_function_is_no_more_in_the_settings_is_left_to_a_job() -> None:
    world = express()
    world.functions.refusing = "TooManyRequestsException"
    world.dispatching.run()
    world.functions.refusing = ""
    off = replace(world.dispatching, runs=replace(world.runs, function=""))
    world.sweeping = replace(world.sweeping, dispatching=off)
    world.wait(world.sweeping.stale_seconds)
    world.sweeping.run()
    assert not world.functions.waiting
    assert states(world) == {(Status.PENDING, None)}


def test_a_run_without_an_end_is_over_only_when_lambda_must_have_ended_it() -> None:
    world = express()
    (name,) = world.dispatching.run()
    with pytest.raises(Crash):
        Environments(world).invoke(world.functions.waiting[0], dies)
    seen = []
    for seconds in (RUN_SECONDS + END_SECONDS - 1, 1):
        world.wait(seconds)
        described = world.runs.describe(name)
        assert described
        seen.append(described.status)
    assert seen == [JobStatus.IN_PROGRESS, JobStatus.FAILED]


@pytest.mark.parametrize(("answers", "failed"), [(True, 0), (False, 1)])
def test_a_run_counts_as_failed_if_it_left_an_object_without_an_answer(*, answers: bool, failed: int) -> None:
    world = express()
    world.dispatching.run()
    environments = Environments(world)
    environments.invoke(world.functions.waiting[0], answer if answers else lambda _body: None)
    outcome = world.collecting.collect(*environments.messages[0])
    assert outcome
    assert outcome.jobs_failed == failed


def test_a_run_that_has_begun_cannot_be_called_off_and_one_that_was_called_off_stays_so() -> None:
    """A dispatcher that is refused gives the rows back unless an order of another one has begun meanwhile."""
    world = express()
    (name,) = world.dispatching.run()

    def read(body: bytes) -> bytes:
        assert world.runs.call_off(name) == Creation.STARTED
        return answer(body)

    run(world, read)
    assert states(world) == {(Status.COMPLETED, "express")}
    assert [world.runs.call_off("another") for _ in range(2)] == [Creation.REFUSED] * 2


def test_a_run_that_has_begun_is_not_invoked_again() -> None:
    world = died_after_its_order()

    def read(body: bytes) -> bytes:
        world.wait(world.sweeping.stale_seconds)
        assert world.sweeping.run().failures == 0
        assert len(world.functions.waiting) == 1
        return answer(body)

    run(world, read)
    assert states(world) == {(Status.COMPLETED, "express")}


def test_an_order_that_was_invoked_before_lambda_refused_it_for_minutes_does_nothing_later() -> None:
    world = died_after_its_order()
    world.functions.refusing = "TooManyRequestsException"
    world.wait(START_SECONDS)
    world.sweeping.run()
    run(world)
    assert not [key for _, key in world.s3.objects if key.startswith(OUTPUTS)]
    assert states(world) == {(Status.PENDING, None)}


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b" " * 2**21,
        b"[]",
        b'"text"',
        b'{"Status": "Odd"}',
        b'{"Status": "Failed", "Reason": 1}',
    ],
    ids=["nothing", "broken", "deep", "long", "a list", "a text", "an odd status", "a reason that is no text"],
)
@pytest.mark.parametrize("record_of", [layout.run_begun_key, layout.run_ended_key], ids=["begun", "ended"])
def test_a_record_of_a_run_that_cannot_be_read_holds_no_upload_for_ever(
    record_of: Callable[[str], str], junk: bytes
) -> None:
    """Another image may have written it."""
    world = express()
    (name,) = world.dispatching.run()
    with pytest.raises(Crash):
        Environments(world).invoke(world.functions.waiting[0], dies)
    world.s3.put_object(Bucket=WORK, Key=record_of(name), Body=junk)
    world.wait(RUN_SECONDS + END_SECONDS + world.sweeping.stale_seconds)
    assert world.sweeping.run().failures == 0
    assert states(world) == {(Status.PENDING, None)}
