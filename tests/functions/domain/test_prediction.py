"""prediction/1 is read strictly: exactly an answer to the row's bytes, or a named problem."""

from __future__ import annotations

import hashlib

import pytest

from functions.domain.errors import FailureCode, MalformedPrediction
from functions.domain.prediction import Prediction, PredictionError, parse
from tests.fakes.world import answer

SHA = hashlib.sha256(b"bytes").hexdigest()


def test_reads_a_prediction() -> None:
    found = parse(answer(b"bytes"), SHA)
    assert isinstance(found, Prediction)
    assert found.predicted_class == "covid"
    assert found.probabilities == {"normal": 0.125, "cap": 0.125, "covid": 0.75}
    assert found.form == "torch"


def test_a_model_need_not_say_in_which_form_it_is_computed() -> None:
    found = parse(answer(b"bytes", Model={"WeightsSHA256": "cd" * 32}), SHA)
    assert isinstance(found, Prediction)
    assert found.form == ""


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
        answer(b"bytes", Schema="prediction/2"),
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
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPrediction) as caught:
        parse(body, SHA)
    assert caught.value.code == FailureCode.MALFORMED_PREDICTION


def test_a_tiny_probability_is_rounded_to_what_the_table_takes() -> None:
    found = parse(answer(b"bytes", Probabilities={"normal": 1e-200, "covid": 1.0}), SHA)
    assert isinstance(found, Prediction)
    assert found.probabilities == {"normal": 0.0, "covid": 1.0}


def test_an_answer_for_other_bytes_is_a_mismatch() -> None:
    with pytest.raises(MalformedPrediction) as caught:
        parse(answer(b"other bytes"), SHA)
    assert caught.value.code == FailureCode.OUTPUT_MISMATCH
