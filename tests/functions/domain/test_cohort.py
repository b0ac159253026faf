"""Each entry finds its one file, or is reported with the reason; no file is labelled twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from functions.domain.cohort import Cohort, ObjectVersion, UIDsOf, duplicates, misplaced
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


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (one(1, "IM1.dcm"), "IM1.dcm"),
        (one(1, "./IM1.dcm"), "IM1.dcm"),
        (one(1, "IM1.dcm", study="s", series="s"), "IM1.dcm"),
        (one(1, "IM1.dcm", study="c"), "c/a/s1/IM1.dcm"),  # the ids say more than a bare name
        (one(1, "s1/IM1.dcm"), "s1/IM1.dcm"),
        (one(1, "s1\\IM1.dcm"), "s1/IM1.dcm"),
        (one(1, "/s1/IM1.dcm", study="b"), "s1/IM1.dcm"),
        (one(1, "a/s1/IM1.dcm"), "a/s1/IM1.dcm"),
        (one(1, "a/s1/IM1.dcm", study="c"), "a/s1/IM1.dcm"),
        (one(1, "2/IM2.dcm", study="b"), "b/2/IM2.dcm"),
        (one(1, "2/IM2.dcm", study="2", series="b"), "b/2/IM2.dcm"),
    ],
)
def test_an_exact_path_wins_over_a_deeper_one_that_ends_alike(entry: LabelledSlice, key: str) -> None:
    files = cohort("IM1.dcm", "s1/IM1.dcm", "a/s1/IM1.dcm", "c/a/s1/IM1.dcm", "a/2/IM2.dcm", "b/2/IM2.dcm")
    found, reasons = files.find([entry], LINES)
    assert [labelled.key for labelled in found] == [f"cohorts/c/{key}"], reasons


def test_a_bare_name_is_not_exact_where_its_ids_name_folders_of_several_others() -> None:
    found, _ = cohort("IM1.dcm", "s1/IM1.dcm", "a/s1/IM1.dcm").find([one(1, "IM1.dcm", study="s1")], LINES)
    assert not found


def test_ids_that_name_different_folders_decide_nothing() -> None:
    """In folders by study, the number of a series may be the name of another study's folder."""
    found, (reason,) = cohort("1/IM1.dcm", "2/IM1.dcm").find([one(3, "IM1.dcm", study="1", series="2")], LINES)
    assert not found
    assert (reason.code, reason.line) == ("AmbiguousFile", 3)


COMPOSED, DECOMPOSED = "se\u00e9/IM\u00fc.dcm", "see\u0301/IMu\u0308.dcm"


@pytest.mark.parametrize(("key", "written"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_names_composed_and_decomposed_are_one(key: str, written: str) -> None:
    folder, _, name = written.partition("/")
    files = cohort(key, "other/" + key.partition("/")[2])
    for entry in (one(1, written), one(1, written.replace("/", "\\")), one(1, name, study=folder)):
        (found,), _ = files.find([entry], LINES)
        assert found.key == f"cohorts/c/{key}"


@pytest.mark.parametrize("wanted", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("folder", ["", "deep/"])
def test_of_a_name_that_is_there_in_both_forms_the_one_that_is_written_is_meant(wanted: str, folder: str) -> None:
    (found,), _ = cohort(f"{folder}{COMPOSED}", f"{folder}{DECOMPOSED}").find([one(1, wanted)], LINES)
    assert found.key == f"cohorts/c/{folder}{wanted}"


def headers(uids: dict[str, tuple[str, str]]) -> tuple[list[str], UIDsOf]:
    """Return a list of the keys that are read, and the reader of headers."""
    read: list[str] = []

    def uids_of(versions: Sequence[ObjectVersion]) -> dict[str, tuple[str, str]]:
        names = [version.key.removeprefix("cohorts/c/") for version in versions]
        read.extend(names)
        return {f"cohorts/c/{name}": uids[name] for name in names if name in uids}

    return read, uids_of


UIDS = {"A/IM1.dcm": ("1.2.1", "1.2.1.1"), "B/IM1.dcm": ("1.2.2", "1.2.2.1"), "C/IM1.dcm": ("1.2.2", "1.2.2.2")}


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (one(1, "IM1.dcm", study="1.2.1"), "A/IM1.dcm"),
        (one(1, "IM1.dcm", study="1.2.2", series="1.2.2.2"), "C/IM1.dcm"),
        (one(1, "IM1.dcm", series="1.2.2.1"), "B/IM1.dcm"),
        (one(1, "IM1.dcm", study="1.2.1", series="5"), "A/IM1.dcm"),
    ],
)
def test_a_name_in_several_folders_is_decided_by_the_uids_in_the_files(entry: LabelledSlice, key: str) -> None:
    _, uids_of = headers(UIDS)
    found, reasons = cohort(*UIDS, "D/IM1.dcm").find([entry], LINES, uids_of)
    assert [labelled.key for labelled in found] == [f"cohorts/c/{key}"], reasons


@pytest.mark.parametrize(
    "entry",
    [
        one(1, "IM1.dcm", study="1.2.2"),
        one(1, "IM1.dcm", study="1.2.9"),
        one(1, "IM1.dcm", study="1.2.1", series="1.2.2.1"),  # of different files
    ],
)
def test_uids_that_fit_no_file_or_several_leave_it_ambiguous(entry: LabelledSlice) -> None:
    _, uids_of = headers(UIDS)
    found, (reason,) = cohort(*UIDS).find([entry], LINES, uids_of)
    assert not found
    assert reason.code == "AmbiguousFile"


def test_no_header_is_read_where_names_paths_and_folders_decide_and_each_other_once() -> None:
    read, uids_of = headers(UIDS)
    entries = [one(1, "A/IM1.dcm"), one(2, "IM1.dcm", study="B"), one(3, "x.dcm", study="1.2"), one(4, "IM1.dcm")]
    cohort(*UIDS, "x.dcm").find(entries, LINES, uids_of)
    assert read == []
    cohort(*UIDS).find([one(line, "IM1.dcm", study="1.2.2", series=f"1.2.2.{line}") for line in (1, 2)], LINES, uids_of)
    assert sorted(read) == sorted(UIDS)


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


@pytest.mark.parametrize("by", ["path", "series", "study and series", "uid"])
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
        "uid": [one(line, "IM1.dcm", study="study", series=f"uid of {each}") for line, each in enumerate(series)],
    }[by]
    read, uids_of = headers({f"study/{one}/IM1.dcm": ("study", f"uid of {one}") for one in series})
    Counted.looks = 0
    found, reasons = files.find(entries, LINES, uids_of)
    assert [each.key for each in found] == [f"cohorts/c/study/{each}/IM1.dcm" for each in series]
    assert not reasons
    assert Counted.looks <= 10 * len(series)
    assert len(read) <= len(series)


def at(entry: LabelledSlice, key: str, study_uid: str = "1.1", series_uid: str = "1.2") -> LabelledSlice:
    """The entry with the object that was found for it."""
    return replace(entry, key=f"cohorts/c/{key}", study_instance_uid=study_uid, series_instance_uid=series_uid)


@pytest.mark.parametrize(
    "slices",
    [
        [at(one(1, "IM1", study="s1"), "s1/IM1"), at(one(2, "IM2", study="s2"), "s9/IM2")],
        [at(one(1, "IM1", series="a"), "s1/a/IM1"), at(one(2, "IM2", series="b"), "s1/c/IM2")],
        [
            at(one(1, "IM1", study="s1", series="a"), "s1/a/IM1"),
            at(one(2, "IM2", study="s1", series="b"), "s1/a/IM2"),
        ],
        [at(one(1, "IM1", study="1.5"), "IM1", study_uid="1.5"), at(one(2, "IM2", study="1.6"), "IM2")],
        [at(one(1, "IM1", series="1.5"), "IM1", series_uid="1.5"), at(one(2, "IM2", series="1.6"), "IM2")],
    ],
    ids=["study's folder", "series' folder", "another series", "study's UID", "series' UID"],
)
def test_another_file_in_the_place_of_a_deleted_one_is_not_taken(slices: list[LabelledSlice]) -> None:
    (reason,) = misplaced(slices, "cohorts/c/", LINES)
    assert (reason.code, reason.line) == ("MissingFile", 2)
    assert reason.message.startswith("Line 2: ")
    assert "IM2" not in reason.message


@pytest.mark.parametrize(
    "slices",
    [
        [at(one(n, f"IM{n}", study=f"s{n}", series=f"t{n}"), f"batch/IM{n}") for n in range(9)],
        [at(one(n, f"IM{n}", study=f"{n}"), f"{n % 2}/IM{n}") for n in range(9)],
        [at(one(n, f"IM{n}", study=f"s{n}", series="1"), f"s{n}/IM{n}") for n in range(9)],
        [at(one(1, "IM1", study="s1"), "s1/IM1"), at(one(2, "IM2"), "s2/IM2")],
        [at(one(1, "IM1", study="s1"), "s1/IM1"), at(one(2, "IM2", study="s2"), "IM2")],
        [at(one(1, "IM1", study="s1"), "s1/IM1"), at(one(2, "s9/IM2", study="s2"), "s9/IM2")],
        [at(one(1, "IM1", study="e\u0301"), "\u00e9/IM1"), at(one(2, "IM2", study="s2"), "s2/IM2")],
    ],
    ids=["ids name nothing", "few by chance", "series has no folder", "no ids", "no folder", "a path", "composed"],
)
def test_ids_that_name_neither_folders_nor_uids_decide_nothing(slices: list[LabelledSlice]) -> None:
    assert not misplaced(slices, "cohorts/c/", LINES)
