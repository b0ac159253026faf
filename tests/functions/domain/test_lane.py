"""Which way a batch runs."""

from __future__ import annotations

import dataclasses

import pytest

from functions.domain.batch import after_express
from functions.domain.lane import LEAST, ExpressLimits, Lane, is_new, lane, share
from functions.domain.row import Row, Status

SCRIPT = "5c"
LIMITS = ExpressLimits(
    express=True, express_concurrency=2, express_max=3, express_per_day=10, express_script_sha256=SCRIPT
)
ROW = Row(upload_id="u", updated_at="", status=Status.PENDING)


def test_few_new_uploads_take_the_express_lane() -> None:
    assert lane([ROW], LIMITS, SCRIPT, 0) == lane([ROW] * 3, LIMITS, SCRIPT, 0) == Lane.EXPRESS


@pytest.mark.parametrize(
    ("new", "changes", "script", "barren"),
    [
        ([ROW] * 4, {}, SCRIPT, 0),
        ([], {}, SCRIPT, 0),
        ([ROW], {"express": False}, SCRIPT, 0),
        ([ROW], {}, "another", 0),
        ([ROW], {"express_script_sha256": ""}, "", 0),
        ([ROW], {}, SCRIPT, 1),
    ],
    ids=["too many", "none", "no lane", "another script", "an unknown script", "the last batch left nothing"],
)
def test_all_else_takes_a_transform_job(new: list[Row], changes: dict[str, object], script: str, barren: int) -> None:
    assert lane(new, dataclasses.replace(LIMITS, **changes), script, barren) == Lane.TRANSFORM  # type: ignore[arg-type]


def test_an_upload_that_a_batch_left_without_an_answer_is_not_new() -> None:
    assert is_new(ROW)
    assert not is_new(dataclasses.replace(ROW, attempt=1))
    assert not is_new(dataclasses.replace(ROW, retry_group="b-0"))


def test_a_run_without_an_answer_costs_no_try_and_the_next_batch_is_a_job() -> None:
    retry = after_express(ROW)
    assert retry.attempt == 0
    assert not is_new(dataclasses.replace(ROW, retry_group=retry.retry_group))


def test_runs_at_once_share_a_study_but_not_a_few_slices() -> None:
    assert share(300, 4) == 75
    assert share(301, 4) == 76
    assert share(40, 4) == LEAST
    assert share(1, 1) >= 1
