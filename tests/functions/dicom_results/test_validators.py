"""Validators of others accept every result, of good headers, odd ones, and every kind of study read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.dicom_results.making import withdrawal_of
from functions.dicom_results.stage import Kind
from tests.functions.dicom_results.studies import (
    PATIENT,
    SERIES,
    Series,
    files,
    image,
    images,
    made,
    read,
    slice_of,
    subject,
)
from tests.functions.dicom_results.validators import (
    complaints_of_a_document,
    complaints_of_a_study,
    complaints_of_objects,
    needs_dicom3tools,
    needs_pixelmed,
)

LONG = "a label that is longer than a code value may be, and than its meaning"[:64]
RELABELLED = tuple(replace(one, label=one.label.replace("cap", LONG)) for one in read().findings)
IN_KANJI = tuple(replace(one, label=one.label.replace("cap", "肺炎")) for one in read().findings)

READS: dict[str, dict[str, Any]] = {
    "first revision": {},
    "second revision": {"revision": 2, "predecessor": 1},
    "closed by force": {"forced": True, "cautions": ("Forced", "Gaps", "SomethingNew")},
    "without a class": {"predicted": None, "cautions": ("Abstained",)},
    "reference class": {"predicted": "normal"},
    "numbers unknown": {
        "series": tuple(Series(uid=uid) for uid in SERIES),
        "members": tuple(replace(slice_of(s, n), number=None) for s in range(2) for n in range(1, 7)),
    },
    "long label": {"findings": RELABELLED},
    "label in another script": {"findings": IN_KANJI},
}
HEADERS: dict[str, dict[str, Any]] = {
    "no body part": {"BodyPartExamined": None},
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎=やまだ^たろう"},
    "GB18030": {"SpecificCharacterSet": "GB18030", "PatientName": "王^小东"},
    "Kanji": {
        "SpecificCharacterSet": ["ISO 2022 IR 6", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "zone": {"TimezoneOffsetFromUTC": "-0500"},
}


@needs_dicom3tools
@pytest.mark.parametrize("case", READS)
def test_objects_of_every_read_are_valid(case: str, tmp_path: Path) -> None:
    paths = files(tmp_path, made(**READS[case]))
    assert {path.name: complaints_of_objects(path) for path in paths} == {path.name: [] for path in paths}


@needs_dicom3tools
@pytest.mark.parametrize("case", HEADERS)
def test_objects_with_every_header_are_valid_and_agree_with_the_study(case: str, tmp_path: Path) -> None:
    members = [image(series, number, **HEADERS[case]) for series in range(2) for number in (1, 2)]
    paths = files(tmp_path, made(members[0]))
    assert {path.name: complaints_of_objects(path) for path in paths} == {path.name: [] for path in paths}
    paths += files(tmp_path, {f"member-{number}": body for number, body in enumerate(members)})
    assert complaints_of_a_study(paths) == []


@needs_dicom3tools
def test_objects_are_valid_where_the_header_has_nothing_but_uids(tmp_path: Path) -> None:
    paths = files(tmp_path, made(image(0, 1, **dict.fromkeys(PATIENT))))
    assert {path.name: complaints_of_objects(path) for path in paths} == {path.name: [] for path in paths}


@needs_dicom3tools
def test_results_agree_with_the_study_over_revisions(tmp_path: Path) -> None:
    paths = files(tmp_path, made())
    paths += files(tmp_path, {f"{kind}-2": body for kind, body in made(revision=2, predecessor=1).items()})
    paths += files(tmp_path, {f"member-{number}": body for number, body in enumerate(images())})
    assert complaints_of_a_study(paths) == []


@pytest.mark.check
@needs_pixelmed
@pytest.mark.parametrize("case", ["second revision", "closed by force", "long label"])
def test_reports_follow_their_template(case: str, tmp_path: Path) -> None:
    (path,) = files(tmp_path, made(kinds=(Kind.SR,), **READS[case]))
    assert complaints_of_a_document(path) == []


@pytest.mark.check
@needs_dicom3tools
@needs_pixelmed
def test_notes_follow_their_template(tmp_path: Path) -> None:
    rejection = withdrawal_of(
        subject(revision=3), {"sr": (1, 2), "card": (2,), "keys": (2,), "heat-1": (1, 2), "heat-2": (2,)}
    )
    keys = made(kinds=(Kind.KEYS,))
    for path in files(tmp_path, keys | {rejection.kind: rejection.body}):
        assert complaints_of_objects(path) == []
        assert complaints_of_a_document(path) == []
