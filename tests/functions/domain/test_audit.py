"""audit/2 and audit/1 are read strictly: any other document is malformed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.domain.audit import Occurrences, Predictability, Subject, parse
from functions.domain.errors import MalformedDocument
from tests.fakes.workflow import acquisition, audit, audit_before

TAKEN = {"SnapshotDigest": "ab" * 32, "Slices": 36}


def read(document: Any) -> Any:
    return parse(json.dumps(document).encode(), "ab" * 32)


def test_everything_is_read() -> None:
    across = {"Count": 2, "Examples": [{"Lines": [3, 17], "Splits": ["train", "test"]}]}
    unreadable = {"Count": 1, "Examples": [{"Line": 4, "Code": "UndecodablePixelData", "Message": "m."}]}
    found = read(audit(TAKEN, Unreadable=unreadable, Identical=across))
    assert found.slices == 36
    assert found.unreadable == Occurrences(count=1, examples=[(4,)])
    assert found.identical == Occurrences(count=2, examples=[(3, 17)])
    assert found.near_identical.count == 0
    figures = Predictability(balanced_accuracy=0.4, chance=0.3333, p_value=0.3, attainable=0.001)
    assert {subject: one.found for subject, one in found.subjects.items()} == dict.fromkeys(Subject, figures)
    acquired = found.subjects[Subject.ACQUISITION]
    assert (acquired.unit, acquired.tags) == ("Patient", ("KVP",))


def test_an_audit_of_the_release_before_is_read_with_what_it_knew() -> None:
    found = read(audit_before(TAKEN, Identical={"Count": 1, "Examples": [{"Lines": [3, 17], "Splits": ["test"]}]}))
    assert (found.slices, found.identical.count, found.same_patient.count) == (36, 1, 0)
    figures = Predictability(balanced_accuracy=0.4, chance=0.3333, p_value=0.3)
    assert {subject: one.found for subject, one in found.subjects.items()} == {Subject.ACQUISITION: figures}


def test_two_ids_of_one_patient_are_read_with_their_lines() -> None:
    found = read(audit(TAKEN, SamePatient={"Count": 4, "Examples": [{"Lines": [3, 17], "Splits": ["train", "test"]}]}))
    assert found.same_patient == Occurrences(count=4, examples=[(3, 17)])


def test_undefined_predictability_is_none() -> None:
    found = read(audit(TAKEN, Person=acquisition(None, None)))
    assert (found.subjects[Subject.PERSON].found, found.subjects[Subject.ACQUISITION].found is None) == (None, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Schema": "audit/3"}, "Schema is 'audit/3', not 'audit/2' or 'audit/1'"),
        ({"SamePatient": {"Count": 1, "Examples": []}}, "there are 0 examples"),
        ({"Position": acquisition(AttainablePValue=None)}, "although Chance and PValue"),
        ({"Background": acquisition(AttainablePValue=2)}, "AttainablePValue is 2"),
        ({"SnapshotDigest": "cd" * 32}, "the run is about abababababab"),
        ({"Slices": -1}, "Slices is -1"),
        ({"Slices": 3.0}, "Slices is 3.0"),
        ({"Slices": True}, "Slices is True"),
        ({"Slices": 10**400}, "not a whole number"),
        ({"Identical": {"Count": 1, "Examples": [{"Lines": [1, 10**30], "Splits": ["train"]}]}}, "not a list of whole"),
        ({"Acquisition": acquisition(10**400)}, "not between 0 and 1"),
        ({"Acquisition": acquisition(Unit=["x" * 10**6])}, "Unit is ['xxxx"),
        ({"Identical": None}, "Identical is no object"),
        ({"Identical": {"Count": 0}}, "has no field Examples"),
        ({"Identical": {"Count": 1, "Examples": []}}, "there are 0 examples"),
        ({"Identical": {"Count": 0, "Examples": [{"Lines": [1, 2], "Splits": ["train"]}]}}, "there are 1 examples"),
        ({"Identical": {"Count": 1, "Examples": [{"Lines": [1, 2], "Splits": ["dev"]}]}}, "Splits is ['dev']"),
        ({"Identical": {"Count": 1, "Examples": [{"Lines": "1", "Splits": []}]}}, "Lines is '1'"),
        ({"Identical": {"Count": 1, "Examples": [{"Lines": [], "Splits": []}]}}, "Lines is [], not two lines"),
        ({"Unreadable": {"Count": 1, "Examples": [{"Line": "4"}]}}, "Line is '4'"),
        ({"Acquisition": acquisition(1.4)}, "BalancedAccuracy is 1.4"),
        ({"Acquisition": acquisition(float("nan"))}, "BalancedAccuracy is nan"),
        ({"Acquisition": acquisition("high")}, "BalancedAccuracy is 'high'"),  # type: ignore[arg-type]
        ({"Acquisition": acquisition(0.9, None)}, "although Chance and PValue"),
        ({"Acquisition": acquisition(Unit="Ward")}, "Unit is 'Ward'"),
    ],
)
def test_anything_else_is_malformed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedDocument) as caught:
        read(audit(TAKEN, **changes))
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [b'"' + b"x" * 16 * 1024**2 + b'"', b"[" + b"{}," * 1_500_000 + b"0]"])
def test_a_document_beyond_all_measure_is_not_parsed(value: bytes) -> None:
    body = json.dumps(audit(TAKEN, Slices="MUCH")).encode().replace(b'"MUCH"', value)
    with pytest.raises(MalformedDocument, match="more than 16,777,216 bytes or 3,000,000 values"):
        parse(body, "ab" * 32)


@pytest.mark.parametrize("depth", [100, 900, 5000, 100_000])
def test_a_value_is_malformed_however_deep_it_is(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    body = json.dumps(audit(TAKEN, Slices="DEEP")).encode().replace(b'"DEEP"', deep)
    with pytest.raises(MalformedDocument) as caught:
        parse(body, "ab" * 32)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "whole"),
    [(name, whole) for whole in (audit, audit_before) for name in whole(TAKEN)],
)
def test_a_missing_field_is_named(name: str, whole: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    document = whole(TAKEN)
    del document[name]
    with pytest.raises(MalformedDocument, match=name):
        read(document)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_bytes_that_are_not_a_document_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedDocument):
        parse(body, "ab" * 32)
