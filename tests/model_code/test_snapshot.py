"""snapshot/1 as the container reads it: a sound one is accepted, changes and malformed parts are named."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from model_code.errors import SnapshotError
from model_code.snapshot import Split, SplitBy, digest_of, parse, read

BODY = b"the bytes of a slice"


def document(**changes: Any) -> dict[str, Any]:
    slices = [
        {
            "Line": 4 + number,
            "Slice": f"{number:032x}.dcm",
            "VersionId": "v",
            "ContentSHA256": hashlib.sha256(BODY).hexdigest(),
            "Label": ("normal", "covid")[number % 2],
            "Split": ("train", "validation", "test")[number % 3],
            "Patient": f"p{number}",
            "StudyInstanceUID": "1.2",
            "SeriesInstanceUID": "1.2.3",
        }
        for number in range(6)
    ]
    made = {
        "Schema": "snapshot/1",
        "CreatedAt": "2026-01-01T00:00:00Z",
        "Labels": ["normal", "covid"],
        "Seed": 3,
        "SplitBy": "Patient",
        "Source": {"Uri": "s3://bucket/cohorts/a/manifest.json", "VersionId": "v", "SHA256": "0" * 64},
        "Slices": slices,
    } | changes
    return made | {"Digest": digest_of(made)}


def with_slice(index: int, **changes: Any) -> dict[str, Any]:
    slices = copy.deepcopy(document()["Slices"])
    slices[index] |= changes
    return document(Slices=slices)


def test_a_sound_snapshot_is_read(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(document(), indent=4))
    snapshot = read(path)
    assert (snapshot.labels, snapshot.seed, snapshot.split_by) == (("normal", "covid"), 3, SplitBy.PATIENT)
    assert [case.line for case in snapshot.cases] == [4, 5, 6, 7, 8, 9]
    assert [case.line for case in snapshot.of(Split.TEST)] == [6, 9]
    assert snapshot.cases[1].label == "covid"
    assert snapshot.digest == document()["Digest"]


def test_the_digest_is_that_of_canonical_json_without_itself_and_the_time() -> None:
    canonical = '{"A":[1,{"b":2,"c":"\\u00e9"}],"Z":null}'
    given = {"Z": None, "Digest": "x", "CreatedAt": "now", "A": [1, {"c": "é", "b": 2}]}
    assert digest_of(given) == hashlib.sha256(canonical.encode()).hexdigest()


def test_when_it_was_taken_does_not_matter_but_everything_else_does() -> None:
    assert parse(document() | {"CreatedAt": "later"}).digest == document()["Digest"]
    for changed in (document() | {"Seed": 4}, document() | {"Source": {}}, document() | {"Digest": None}):
        with pytest.raises(SnapshotError, match=r"it was changed after it was taken\. Start the run again"):
            parse(changed)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "Schema is 'list'"),
        ({"Schema": "snapshot/2"}, "Schema is 'snapshot/2'; this image reads 'snapshot/1'"),
        (document(Labels=["covid"]), r"Labels is \['covid'\]"),
        (document(Labels=[["covid"], "cap"]), "Labels is"),
        (document(Seed=True), "Seed is True"),
        (document(Seed=-1), "Seed is -1"),
        (document(SplitBy=["Patient"]), r"SplitBy is \['Patient'\], not one of Patient, Slice, Manifest"),
        (document(Slices=[]), "Slices is not a list"),
        (document(Slices=["x"]), "slice number 1: it is a str"),
        (with_slice(1, Label="flu"), "line 5: Label 'flu' is not one of normal, covid"),
        (with_slice(1, Split="holdout"), "line 5: Split 'holdout' is not one of train, validation, test"),
        (with_slice(1, Slice="../../etc/passwd"), "line 5: Slice is '../../etc/passwd', not 32 hexadecimal"),
        (with_slice(1, ContentSHA256="0"), "line 5: ContentSHA256 is '0'"),
        (with_slice(1, Patient=""), "line 5: Patient is ''"),
        (with_slice(1, Line=0), "line 0: Line is 0"),
        (with_slice(1, Line=4), "the Line 4 is there 2 times"),
        (with_slice(1, Slice=f"{0:032x}.dcm"), "the Slice 0{32}.dcm is there 2 times"),
    ],
)
def test_what_is_malformed_is_named(bad: Any, message: str) -> None:
    with pytest.raises(SnapshotError, match=message):
        parse(bad)


def test_every_bad_slice_is_named_up_to_a_limit() -> None:
    slices = [
        entry | {"Label": "flu", "Line": number} for number, entry in enumerate(document()["Slices"] * 5, start=1)
    ]
    with pytest.raises(SnapshotError, match=r"line 1: .*line 20: .*; and 10 more\.$"):
        parse(document(Slices=slices))


def test_a_missing_or_broken_document_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"no snapshot\.json"):
        read(tmp_path / "snapshot.json")
    (tmp_path / "snapshot.json").write_text("{")
    with pytest.raises(SnapshotError, match=r"snapshot\.json is not JSON"):
        read(tmp_path / "snapshot.json")


def test_the_bytes_of_a_slice_are_those_of_the_snapshot(tmp_path: Path) -> None:
    case = parse(document()).cases[0]
    with pytest.raises(SnapshotError, match=f"line 4: {case.name} is not among the slices"):
        case.read(tmp_path)
    (tmp_path / case.name).write_bytes(BODY)
    assert case.read(tmp_path) == BODY
    (tmp_path / case.name).write_bytes(BODY + b".")
    with pytest.raises(SnapshotError, match=r"line 4: .* its bytes were changed after the snapshot"):
        case.read(tmp_path)
