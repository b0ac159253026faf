"""An express lane that is out of order: refused, without answers, with records that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from functions.aws.items import to_item
from functions.domain import layout
from functions.domain.lane import END_SECONDS, LEAST, RUN_SECONDS, START_SECONDS
from functions.domain.row import Status
from functions.names import OUTPUTS
from tests.fakes.world import WORK
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
