"""prediction/1, both ways: the bytes that the container answers are what the functions read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from functions.domain.prediction import Prediction, PredictionError, parse
from model_code.inference import Model, input_fn, model_fn, output_fn, predict_fn
from wetread.demo.phantoms import phantom_bytes


@pytest.fixture(scope="module")
def model(artifact: Path) -> Model:
    return model_fn(str(artifact.parent / "model"))


def answered(body: bytes, model: Model) -> Prediction | PredictionError:
    output = output_fn(predict_fn(input_fn(body, "application/dicom"), model), "application/json")
    return parse(output, hashlib.sha256(body).hexdigest())


def test_a_prediction_is_read_as_it_was_meant(model: Model) -> None:
    found = answered(phantom_bytes("covid", 0, 0, size=128), model)
    assert isinstance(found, Prediction)
    assert found.predicted_class == max(found.probabilities, key=lambda name: found.probabilities[name])
    assert list(found.probabilities) == ["normal", "cap", "covid"]
    assert found.weights_sha256 == model.identity["WeightsSHA256"]
    assert found.backend == model.identity["Form"] == "torch"
    assert set(found.timings_ms) == {"Decode", "Predict"}


@pytest.mark.parametrize("spoilt", [b"", b"text", phantom_bytes("cap", 0, 0, size=128)[:-20_000]])
def test_an_error_document_is_read_as_a_refusal(model: Model, spoilt: bytes) -> None:
    found = answered(spoilt, model)
    assert isinstance(found, PredictionError)
    assert found.code
    assert found.message.endswith(".")
