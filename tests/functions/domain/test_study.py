"""When a study is due, quiet, or open for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from functions.domain.study import CloseReason, Patience, Revision, State, Study

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PATIENCE = Patience(study_quiet_seconds=300, study_max_open_seconds=3600)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def study(**changes: str) -> Study:
    values = {"due_at": at(0), "quiet_until": at(0), "opened_at": at(-60)} | changes
    return Study(study_instance_uid="1.2", state=State.OPEN, **values)


def test_an_open_study_is_due_from_its_time_on() -> None:
    assert study().is_due(NOW)
    assert not study(due_at=at(1)).is_due(NOW)
    assert not Study(study_instance_uid="1.2", state=State.CLOSED).is_due(NOW)


def test_a_study_is_quiet_from_its_time_on() -> None:
    assert study().is_quiet(NOW)
    assert not study(quiet_until=at(1)).is_quiet(NOW)


def test_a_study_that_has_been_open_for_too_long_is_cut_off_at_its_limit() -> None:
    assert study(opened_at=at(-3600)).cut_off(NOW, PATIENCE) == at(0)
    assert study(opened_at=at(-4000)).cut_off(NOW, PATIENCE) == at(-400)
    assert study(opened_at=at(-3599)).cut_off(NOW, PATIENCE) is None
    assert Study(study_instance_uid="1.2", state=State.CLOSED).cut_off(NOW, PATIENCE) is None


@pytest.mark.parametrize(("due", "expected"), [(-300, 30), (29, 30), (200, 200)])
def test_a_study_that_cannot_be_closed_is_looked_at_by_the_next_sweep_and_never_earlier(
    due: int, expected: int
) -> None:
    assert study(due_at=at(due)).later(NOW) == at(expected)


def test_a_revision_is_read_back_as_it_was_written() -> None:
    revision = Revision(
        study_instance_uid="1.2",
        number=3,
        created_at=at(0),
        close_reason=CloseReason.FORCED,
        coverage="Unknown",
        code="",
        model_package="wetread/1",
        predicted_class=None,
        scores={},
        counts={"Members": 2, "Read": 0},
        inputs="a" * 40,
        result_key="studies/1/2.json",
    )
    assert Revision.from_json(revision.to_json()) == revision
