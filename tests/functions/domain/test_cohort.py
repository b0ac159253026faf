"""Each entry finds its one file, or is reported with the reason; no file is labelled twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from functions.domain.cohort import Cohort, ObjectVersion, duplicates
from functions.domain.slices import LabelledSlice, Split
from functions.domain.verdict import Places

LINES = Places()


def one(line: int, filename: str, study: str = "", series: str = "", split: Split | None = None) -> LabelledSlice:
    return LabelledSlice(line=line, filename=filename, label="covid", study_id=study, series_id=series, split=split)


def cohort(*keys: str) -> Cohort:
    return Cohort("cohorts/c/", [ObjectVersion(key=f"cohorts/c/{key}", version_id="v", size=1) for key in keys])


def content(entry: LabelledSlice, sha256: str, sop: str, key: str = "") -> LabelledSlice:
    return replace(entry, key=key or entry.filename, version_id="v", content_sha256=sha256, sop_instance_uid=sop)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (one(1, "x.dcm"), "deep/down/x.dcm"),
        (one(1, "s1/IM1.dcm"), "s1/IM1.dcm"),
        (one(1, "./s1/IM1.dcm"), "s1/IM1.dcm"),
        (one(1, "s1\\IM1.dcm"), "s1/IM1.dcm"),
        (one(1, "IM1.dcm", study="s2"), "s2/IM1.dcm"),
        (one(1, "IM2.dcm", study="s3", series="b"), "s3/b/IM2.dcm"),
        (one(1, "IM2.dcm", series="a"), "s3/a/IM2.dcm"),
    ],
)
def test_a_file_is_found_by_name_path_or_ids(entry: LabelledSlice, key: str) -> None:
    found, reasons = cohort("deep/down/x.dcm", "s1/IM1.dcm", "s2/IM1.dcm", "s3/a/IM2.dcm", "s3/b/IM2.dcm").find(
        [entry], LINES
    )
    assert [labelled.key for labelled in found] == [f"cohorts/c/{key}"]
    assert not reasons


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (one(7, "absent.dcm"), "MissingFile"),
        (one(7, "s9/IM1.dcm"), "MissingFile"),
        (one(7, "1/IM1.dcm"), "MissingFile"),
        (one(7, "IM1.dcm"), "AmbiguousFile"),
        (one(7, "IM1.dcm", study="s9"), "AmbiguousFile"),
        (one(7, "IM2.dcm", study="s3"), "AmbiguousFile"),
    ],
)
def test_an_entry_without_exactly_one_file_is_reported(entry: LabelledSlice, code: str) -> None:
    found, (reason,) = cohort("s1/IM1.dcm", "s2/IM1.dcm", "s3/a/IM2.dcm", "s3/b/IM2.dcm").find([entry], LINES)
    assert not found
    assert (reason.code, reason.line) == (code, 7)
    assert entry.filename not in reason.message  # a file's name may name a person


def test_a_file_that_is_labelled_twice_is_reported_once() -> None:
    _, (reason,) = cohort("a.dcm").find([one(2, "a.dcm", split=Split.TRAIN), one(5, "a.dcm", split=Split.TEST)], LINES)
    assert (reason.code, reason.line) == ("Duplicate", 2)
    assert reason.message.startswith("Lines 2 and 5 label the same file")


def test_the_same_bytes_under_two_names_are_reported() -> None:
    (reason,) = duplicates([content(one(1, "a"), "aa", "1.2"), content(one(2, "b"), "aa", "1.2")], LINES)
    assert "Lines 1 and 2 are the same bytes" in reason.message


def test_the_same_bytes_in_given_splits_are_left_to_the_audit() -> None:
    train, test = one(1, "a", split=Split.TRAIN), one(2, "b", split=Split.TEST)
    assert not duplicates([content(train, "aa", "1.2"), content(test, "aa", "1.2")], LINES)
    again = one(3, "c", split=Split.TRAIN)
    (reason,) = duplicates([content(train, "aa", "1.2"), content(again, "aa", "1.2")], LINES)
    assert reason.code == "Duplicate"


def test_one_identity_with_two_contents_is_reported_even_in_given_splits() -> None:
    train, test = one(1, "a", split=Split.TRAIN), one(2, "b", split=Split.TEST)
    (reason,) = duplicates([content(train, "aa", "1.2"), content(test, "bb", "1.2")], LINES)
    assert "same SOPInstanceUID" in reason.message


def test_different_slices_are_not_duplicates() -> None:
    assert not duplicates([content(one(n, str(n)), str(n), f"1.{n}") for n in range(5)], LINES)


class Counted(PurePosixPath):
    """A path that counts how often it is read."""

    looks = 0

    @property
    def parts(self) -> tuple[str, ...]:
        Counted.looks += 1
        return PurePosixPath(self).parts


@pytest.mark.parametrize("by", ["path", "series", "study and series"])
def test_files_of_one_name_in_each_series_are_not_looked_through_for_each_entry(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = [f"series-{number}" for number in range(200)]
    monkeypatch.setattr("functions.domain.cohort.PurePosixPath", Counted)
    files = cohort(*(f"study/{one}/IM1.dcm" for one in series))
    entries = {
        "path": [one(line, f"{each}/IM1.dcm") for line, each in enumerate(series)],
        "series": [one(line, "IM1.dcm", series=each) for line, each in enumerate(series)],
        "study and series": [one(line, "IM1.dcm", study="study", series=each) for line, each in enumerate(series)],
    }[by]
    Counted.looks = 0
    found, reasons = files.find(entries, LINES)
    assert [each.key for each in found] == [f"cohorts/c/study/{each}/IM1.dcm" for each in series]
    assert not reasons
    assert Counted.looks <= 10 * len(series)
