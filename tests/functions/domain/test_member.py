"""Which members of a study count."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain.member import Part, is_member, member_of, packages, selected
from functions.domain.row import Row, Status
from functions.domain.series import Excluded, SeriesRule

RULE = SeriesRule()


def row(number: int, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "upload_id": f"{number:032x}",
        "updated_at": "2026-11-23T00:00:00.000Z",
        "received_at": f"2026-11-23T00:00:{number:02d}.000Z",
        "status": Status.COMPLETED,
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.2.1",
        "sop_instance_uid": f"1.2.1.{number}",
        "content_sha256": f"{number:064x}",
        "model_package": "wetread/1",
        "probabilities": {"normal": 1.0},
    }
    return Row(**values | changes)


def parts(*rows: Row, rule: SeriesRule = RULE) -> list[tuple[Part, str]]:
    members, _ = selected([member_of(one, rule) for one in rows], rule)
    return [(one.part, one.why) for one in sorted(members, key=lambda one: one.upload_id)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (Part.READ, "")),
        ({"status": Status.REFUSED, "code": "NotHounsfield"}, (Part.REFUSED, "NotHounsfield")),
        ({"status": Status.FAILED, "code": "KillsContainer"}, (Part.FAILED, "KillsContainer")),
        ({"withdrawn_at": "2026-11-24T00:00:00.000Z"}, (Part.WITHDRAWN, "Withdrawn")),
        ({"picture_type": "derived"}, (Part.EXCLUDED, Excluded.DERIVED)),
        ({"picture_type": "localizer"}, (Part.EXCLUDED, Excluded.LOCALIZER)),
        ({"picture_type": "reformat"}, (Part.EXCLUDED, Excluded.REFORMAT)),
        ({"picture_type": "projection"}, (Part.EXCLUDED, Excluded.PROJECTION)),
        ({"quality_control": True}, (Part.EXCLUDED, Excluded.QUALITY_CONTROL)),
    ],
)
def test_a_member_has_the_part_that_its_row_says(changes: dict[str, Any], expected: tuple[Part, str]) -> None:
    assert parts(row(1, **changes)) == [expected]


def test_a_stage_may_count_every_kind_of_picture() -> None:
    every = SeriesRule(series_exclude=())
    assert parts(row(1, picture_type="derived"), row(2, quality_control=True), rule=every) == [(Part.READ, "")] * 2


def test_a_series_with_few_slices_is_left_out() -> None:
    rule = SeriesRule(series_min_slices=2)
    short = row(3, series_instance_uid="1.2.9")
    assert parts(row(1), row(2), short, rule=rule)[2] == (Part.EXCLUDED, Excluded.FEW_SLICES)


def test_of_one_instance_the_last_that_was_read_counts() -> None:
    same = {"sop_instance_uid": "1.2.1.7", "content_sha256": "a" * 64}
    assert parts(row(1, **same), row(2, **same)) == [(Part.EXCLUDED, Excluded.DUPLICATE), (Part.READ, "")]
    failed = row(3, **same, status=Status.FAILED, code="JobFailed")
    assert parts(row(2, **same), failed) == [(Part.READ, ""), (Part.EXCLUDED, Excluded.DUPLICATE)]


def test_other_bytes_under_the_same_name_are_a_conflict_and_the_same_bytes_are_none() -> None:
    def conflicts(*contents: str) -> list[str]:
        rows = [row(n, sop_instance_uid="1.2.1.7", content_sha256=one * 64) for n, one in enumerate(contents)]
        _, found = selected([member_of(one, RULE) for one in rows], RULE)
        return [one.counted for one in found]

    assert conflicts("a", "b") == [row(1).upload_id]
    assert not conflicts("a", "a")


def test_two_acquisitions_at_one_position_both_count() -> None:
    rows = [row(n, acquisition_number=n, slice_position=10.0) for n in range(2)]
    assert parts(*rows) == [(Part.READ, "")] * 2


def test_only_what_counts_names_its_model() -> None:
    rows = [row(1), row(2, model_package="wetread/2"), row(3, model_package="wetread/3", status=Status.FAILED)]
    assert packages(member_of(one, RULE) for one in rows) == ("wetread/1", "wetread/2")


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.MARKER, Status.ERASED])
def test_what_is_no_object_of_a_study_is_no_member(status: Status) -> None:
    assert not is_member(row(1, status=status))
    assert is_member(row(1, status=Status.REFUSED))
    assert not is_member(row(1, study_instance_uid=None))
