"""prediction/2 (and 1) is read strictly: an answer to the row's bytes, or a named problem."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.aws.items import to_item
from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.prediction import MOST_BYTES, MOST_VALUES, Prediction, PredictionError, check_result, parse
from functions.domain.row import Row, Status
from tests.fakes.world import WEIGHTS_SHA256, answer

SHA = hashlib.sha256(b"bytes").hexdigest()


def test_reads_a_prediction() -> None:
    found = parse(answer(b"bytes"), SHA)
    assert isinstance(found, Prediction)
    assert found.predicted_class == "covid"
    assert found.probabilities == {"normal": 0.125, "cap": 0.125, "covid": 0.75}
    assert found.backend == "torch"


LIKE, UNLIKE = (
    {"Score": 0.4, "Threshold": 0.5, "Abstained": False},
    {"Score": 0.6, "Threshold": 0.5, "Abstained": True},
)


def test_reads_that_a_model_abstained_and_what_it_computed() -> None:
    found = parse(answer(b"bytes", Class=None, Typicality=UNLIKE), SHA)
    assert isinstance(found, Prediction)
    assert found.predicted_class is None
    assert found.typicality is not None
    assert found.typicality.as_dict() == UNLIKE
    assert found.probabilities["covid"] == 0.75


def test_reads_how_typical_an_object_is_and_whether_the_model_is_unsure() -> None:
    found = parse(answer(b"bytes", Typicality=LIKE, Unsure=True), SHA)
    assert isinstance(found, Prediction)
    assert found.typicality is not None
    assert (found.predicted_class, found.typicality.abstained, found.unsure) == ("covid", False, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"Class": None},
        {"Class": None, "Typicality": LIKE},
        {"Typicality": UNLIKE},
        {"Typicality": None},
        {"Typicality": 0.6},
        {"Class": None, "Typicality": {**UNLIKE, "Score": 0.3}},
        {"Class": None, "Typicality": {**UNLIKE, "Abstained": 1}},
        {"Class": None, "Typicality": {**UNLIKE, "Score": 1e10}},
        {"Class": None, "Typicality": {**UNLIKE, "Score": float("inf")}},
        {"Typicality": {**LIKE, "Score": -0.1}},
        {"Typicality": {**LIKE, "Score": True}},
        {"Typicality": {"Abstained": False}},
        {"Unsure": None},
        {"Unsure": "no"},
    ],
)
def test_an_answer_that_disagrees_with_its_own_abstention_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedPrediction):
        parse(answer(b"bytes", **changes), SHA)


@pytest.mark.parametrize("more", [{}, {"Error": {"Code": "UndecodablePixelData", "Message": "They end early."}}])
def test_an_answer_of_a_model_that_has_seen_phantoms_only_says_so(more: dict[str, Any]) -> None:
    assert parse(answer(b"bytes", Synthetic=True, **more), SHA).synthetic
    assert not parse(answer(b"bytes", **more), SHA).synthetic


def test_a_model_need_not_name_its_backend() -> None:
    found = parse(answer(b"bytes", Model={"WeightsSHA256": "cd" * 32}), SHA)
    assert isinstance(found, Prediction)
    assert found.backend == ""


def test_reads_the_containers_refusal() -> None:
    found = parse(answer(b"bytes", Error={"Code": "UndecodablePixelData", "Message": "The pixels end early."}), SHA)
    assert isinstance(found, PredictionError)
    assert (found.code, found.message) == ("UndecodablePixelData", "The pixels end early.")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ERROR",
        b"[]",
        b"null",
        b"{}",
        answer(b"bytes", Schema="prediction/3"),
        answer(b"bytes", Notes="one"),
        answer(b"bytes", Synthetic="yes"),
        answer(b"bytes", Notes=[1]),
        answer(b"bytes", Notes=[""]),
        answer(b"bytes", Notes=["n" * 201]),
        answer(b"bytes", Notes=["n"] * 17),
        answer(b"bytes", Notes={"n": 1}),
        answer(b"bytes", Probabilities={"covid": 0.5}),
        answer(b"bytes", Probabilities={}),
        answer(b"bytes", Probabilities={"normal": float("nan"), "covid": 1.0}),
        answer(b"bytes", Class="normal"),
        answer(b"bytes", Class="unknown"),
        answer(b"bytes", Model=None),
        answer(b"bytes", Model={"WeightsSHA256": "cd" * 32, "Form": 8}),
        answer(b"bytes", Model={"WeightsSHA256": "cd" * 32, "Form": "f" * 65}),
        answer(b"bytes", Error="bad"),
        answer(b"bytes")[:-5],
        answer(b"bytes", Probabilities={"covid": 1.5, "normal": -0.5}, Class="covid"),
        answer(b"bytes", Probabilities={"": 1.0}, Class=""),
        answer(b"bytes", Class="covid" * 100, Probabilities={"covid" * 100: 1.0}),
        answer(b"bytes", TimingsMs={"Decode": 10**400}),
        answer(b"bytes", Error={"Code": "X", "Message": "m" * 5000}),
        b'{"Schema":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        answer(b"bytes", Extra=0).replace(b'"Extra": 0', b'"Extra": ' + b"[" * 9000 + b"]" * 9000),
        answer(b"bytes", Extra=0).replace(b'"Extra": 0', b'"Extra": ' + b"1" * 5000),
        answer(b"bytes", Extra=float("inf")),
        answer(b"bytes", Extra="x" * MOST_BYTES),
        answer(b"bytes", Extra=[0] * MOST_VALUES),
        answer(b"bytes") + b" " * MOST_BYTES,
        answer(b"bytes", Class="normal").replace(b"{", b'{"Class": "covid", ', 1),
        answer(b"bytes").replace(b'"normal"', b'"covid"'),
        answer(b"bytes").decode().encode("utf-16"),
        b"\xef\xbb\xbf" + answer(b"bytes"),
        answer(b"bytes", Extra="X").replace(b'"X"', b'"\xff"'),
        answer(b"bytes", Extra="X").replace(b'"X"', b'"\xed\xa0\x80"'),
        answer(b"bytes", Probabilities={"\ud800": 0.25, "covid": 0.75}),
        answer(b"bytes", Probabilities={"\ud800": 0.75, "covid": 0.25}, Class="\ud800"),
        answer(b"bytes", Error={"Code": "X", "Message": "half a pair: \udfff"}),
        answer(b"bytes", Error={"Code": "\ud83d", "Message": "m"}),
        answer(b"bytes", Probabilities={"x" * 65: 0.25, "covid": 0.75}),
        answer(b"bytes", Probabilities={"": 0.25, "covid": 0.75}),
        answer(b"bytes", Probabilities={"covid": "0.75", "normal": 0.25}),
        answer(b"bytes", Probabilities={"covid": True}),
        answer(b"bytes", Probabilities={"covid": 1, **{f"class {number}": 0 for number in range(1000)}}),
        answer(b"bytes", Probabilities=[["covid", 1.0]]),
        answer(b"bytes", TimingsMs={"t" * 65: 1.0}),
        answer(b"bytes", TimingsMs={"Decode": float("nan")}),
        answer(b"bytes", TimingsMs={f"step {number}": 1.0 for number in range(101)}),
        answer(b"bytes", TimingsMs=None),
        answer(b"bytes", Model={"WeightsSHA256": "w" * 64}),
        answer(b"bytes", Model={"WeightsSHA256": "c" * 500_000}),
        answer(b"bytes", Model={"WeightsSHA256": ["cd" * 32]}),
        answer(b"bytes", ContentSHA256="\ud800" * 12),
        answer(b"bytes", ContentSHA256="DOE^JANE 1970-01-01"),
        answer(b"bytes", Error={"Code": "X", "Message": "m"}, Model={"WeightsSHA256": "\ud800"}),
        b'"' + b'\\"' * ((MOST_BYTES - 1) // 2),
        b'"' + b"\\" * (MOST_BYTES - 1),
        b'"' * MOST_BYTES,
        b"]" * MOST_BYTES,
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPrediction) as caught:
        parse(body, SHA)
    assert caught.value.code == FailureCode.MALFORMED_PREDICTION
    assert len(caught.value.reason.encode()) < 500, "a row holds the reason"


@pytest.mark.parametrize("rest", [b"", b"a", b'\\"', b'\\" \\"', b"\\", b"\\\\\\"])
def test_an_unterminated_text_is_scanned_once_and_not_from_each_of_its_quotes(rest: bytes) -> None:
    with pytest.raises(MalformedPrediction) as caught:
        parse(b'"' + b"[" * 99 + rest, SHA)
    assert "deep" not in caught.value.reason, "its brackets are text"


LONGEST = "\U0001d4ae"  # of the characters, in UTF-8


def test_the_longest_answer_fits_a_row_of_dynamodb() -> None:
    names = [f"{number:04}" + LONGEST * 60 for number in range(1000)]
    timings = {f"{number:04}" + LONGEST * 60: 123456789.123456789 for number in range(100)}
    body = answer(
        b"bytes",
        Probabilities=dict.fromkeys(names, 0.001),
        Class=names[0],
        TimingsMs=timings,
        Model={"WeightsSHA256": "cd" * 32, "Form": LONGEST * 64},
        Notes=[LONGEST * 200] * 16,
    )
    assert len(body) < MOST_BYTES
    found = parse(body, SHA)
    assert isinstance(found, Prediction)
    row = Row(
        upload_id="u" * 32,
        key=LONGEST * 256,
        version_id="v" * 1024,
        size=2**40,
        received_at="2026-11-23T00:00:00.000Z",
        updated_at="2026-11-23T00:00:00.000Z",
        status=Status.COMPLETED,
        reason=LONGEST * 1500,
        repairs=(LONGEST * 64,) * 20,
        predicted_class=found.predicted_class,
        probabilities=found.probabilities,
        timings_ms=found.timings_ms,
        notes=(LONGEST * 64,) * 20,
        prediction_notes=found.notes,
    )
    assert size(to_item(row.to_json())) < 400 * 1024


def size(value: Any) -> int:
    """Return an item's bytes as DynamoDB's guide counts them: names and texts in UTF-8, a byte for two digits."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in {"S", "N", "L", "M"}:
        ((kind, inner),) = value.items()
        if kind == "N":
            return min(21, len(inner) // 2 + 3)
        return size(inner) + (3 if kind in {"L", "M"} else 0)
    if isinstance(value, dict):
        return sum(size(name) + size(inner) + 1 for name, inner in value.items())
    return sum(size(inner) + 1 for inner in value)


@pytest.mark.parametrize("document", [None, [], {}, {"Class": "a", "Probabilities": {"a": 1.0}}, {"Class": {}}])
def test_an_existing_result_is_used_only_if_it_is_well_formed(document: Any) -> None:
    with pytest.raises(MalformedPrediction):
        check_result(document)


def test_a_tiny_probability_is_rounded_to_what_the_table_takes() -> None:
    found = parse(answer(b"bytes", Probabilities={"normal": 1e-200, "covid": 1.0}), SHA)
    assert isinstance(found, Prediction)
    assert found.probabilities == {"normal": 0.0, "covid": 1.0}


def test_a_refusal_names_the_model_if_the_container_does() -> None:
    found = parse(answer(b"bytes", Error={"Code": "X", "Message": "m"}), SHA)
    assert isinstance(found, PredictionError)
    assert found.weights_sha256 == WEIGHTS_SHA256


def test_an_answer_for_other_bytes_is_a_mismatch() -> None:
    with pytest.raises(MalformedPrediction) as caught:
        parse(answer(b"other bytes"), SHA)
    assert caught.value.code == FailureCode.OUTPUT_MISMATCH


@pytest.mark.parametrize(("name", "character"), [("covid\x1f7", "001F"), ("cov\u202eid", "202E")])
def test_a_class_that_reads_as_another_is_refused_with_its_character(name: str, character: str) -> None:
    with pytest.raises(MalformedPrediction, match=rf"the character U\+{character}"):
        parse(answer(b"bytes", Probabilities={name: 1.0}, Class=name), SHA)


@pytest.mark.parametrize("notes", [[], ["The slice was turned."]])
def test_the_notes_of_an_answer_are_read(notes: list[str]) -> None:
    found = parse(answer(b"bytes", Notes=notes), SHA)
    assert isinstance(found, Prediction)
    assert found.notes == tuple(notes)


def test_an_answer_of_an_older_container_has_no_notes() -> None:
    document = json.loads(answer(b"bytes", Schema="prediction/1"))
    del document["Notes"]
    found = parse(json.dumps(document).encode(), SHA)
    assert isinstance(found, Prediction)
    assert found.notes == ()
    assert found.predicted_class == "covid"
