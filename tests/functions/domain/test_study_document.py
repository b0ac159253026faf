"""A study/1 document is bounded whatever the study and its model are: one that is not cannot be read again."""

from __future__ import annotations

import json

import pytest

from aggregation.rule import loads
from aggregation.slices import Slice
from aggregation.study import read_study
from functions.domain.marker import Expected, Marker
from functions.domain.member import Conflict, Member, Part
from functions.domain.row import Status
from functions.domain.series import SeriesRule
from functions.domain.study import CloseReason, State, Study
from functions.domain.study_document import MOST_BYTES, MOST_SCORES, Closed, Inputs, document

STUDY = "1.2.826.0.1.3680043.8.498." + "7" * 38


def uid(number: int) -> str:
    return f"{STUDY[:-12]}{number:012d}"


def members(count: int, series: int, labels: list[str]) -> list[Member]:
    share = dict.fromkeys(labels, round(1 / len(labels), 6))
    return [
        Member(
            upload_id=f"{n:032x}",
            part=Part.READ,
            series=uid(n % series),
            sop_instance_uid=uid(n),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            instance_number=2 * n,
            position=0.123456 + n,
            model_package="wetread/1",
            prediction_key=f"predictions/{n:040x}.json",
            probabilities=share,
        )
        for n in range(count)
    ]


def made(found: list[Member], marker: Marker | None = None, conflicts: tuple[Conflict, ...] = ()) -> dict[str, object]:
    inputs = Inputs(members=found, rule=loads(""), series_rule=SeriesRule(), marker=marker, conflicts=conflicts)
    slices = (Slice(upload_id=one.upload_id, series=one.series, probabilities=one.probabilities or {}) for one in found)
    study = Study(study_instance_uid=STUDY, state=State.OPEN, revision=1, result_key="studies/1.json")
    before = {"Uploads": {Status.FAILED: [f"{n:032x}" for n in range(20_000, 40_000)]}, "Model": None}
    closed = Closed(study=study, closed_at="2026-11-23T00:00:00.000Z", reason=CloseReason.QUIET, previous=before)
    return document(closed, inputs, read_study(slices, inputs.rule))


@pytest.mark.parametrize("classes", [40, 1000])
def test_a_document_of_many_series_and_classes_can_be_read_again(classes: int) -> None:
    labels = [f"{n:04d}{'𠀀' * 60}" for n in range(classes)]
    found = members(1530, 510, labels)
    uploads = tuple(one.upload_id for one in found)
    conflicts = tuple(Conflict(sop_instance_uid=uid(n), uploads=uploads, counted="") for n in range(200))
    named = tuple(Expected(series=uid(n), number=200, instances=tuple(map(uid, range(1000, 1200)))) for n in range(200))
    # The lists of uploads are of 20,000 in the largest study: tests/functions/flow/test_large_studies.py.
    content = made(found, Marker(study_instance_uid=STUDY, series=named), conflicts)
    uploads_of_the_largest = 2 * 20_000 * 36
    assert len(json.dumps(content)) + uploads_of_the_largest < MOST_BYTES


def test_what_is_left_out_of_series_is_counted() -> None:
    content = made(members(30, 3, [f"class {n}" for n in range(MOST_SCORES // 2)]))
    first, second, third = content["Series"]  # type: ignore[misc]
    assert len(first["Scores"]) == len(second["Scores"]) == MOST_SCORES // 2
    assert (third["Included"], "Scores" in third, "Evidence" in third) == (True, False, False)
    assert content["Omitted"] == {"ScoresOfSeries": 1}
    assert len(content["Scores"]) == MOST_SCORES // 2  # type: ignore[arg-type]
