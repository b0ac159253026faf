"""The four functions: prediction/2 for good bytes, an error document for bad ones, the same answer every time."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydicom.uid import JPEGLosslessSV1

from model_code.backends.backend import Backend, Outputs
from model_code.container import Container
from model_code.errors import InstanceError, NotAcceptable, UnsupportedMediaType
from model_code.inference import Model, input_fn, model_fn, output_fn, predict_fn
from model_code.reading.decoder_process import SHARED, NoDecoder
from tests.model_code.conftest import LABELS, SIZE, SOP_INSTANCE_UID, MakeSlice

DICOM = "application/dicom"


@pytest.fixture(scope="module")
def model(container: Container) -> Model:
    return model_fn(str(container.model_dir))


def predict(model: Model, body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(output_fn(predict_fn(input_fn(body, DICOM), model), "application/json"))
    return document


def test_a_good_slice(model: Model, container: Container, body: bytes) -> None:
    document = predict(model, body)
    assert list(document) == [
        "Schema",
        "SOPInstanceUID",
        "ContentSHA256",
        "Model",
        "Class",
        "Probabilities",
        "Notes",
        "TimingsMs",
        "Grid",
    ]
    assert document["Schema"] == "prediction/2"
    assert document["SOPInstanceUID"] == SOP_INSTANCE_UID
    assert document["ContentSHA256"] == hashlib.sha256(body).hexdigest()
    weights = hashlib.sha256((container.model_dir / "model.pth").read_bytes()).hexdigest()
    assert document["Model"] == {"Name": "tiny", "Version": "1.2.3", "WeightsSHA256": weights, "Form": "torch"}
    assert document["Class"] == "covid"
    assert list(document["Probabilities"]) == list(LABELS)
    assert sum(document["Probabilities"].values()) == pytest.approx(1, abs=1e-12)
    assert document["Class"] == max(document["Probabilities"], key=document["Probabilities"].get)
    assert set(document["TimingsMs"]) == {"Decode", "Predict"}
    assert {name: document["Grid"][name] for name in ("Classes", "Rows", "Columns")} == {
        "Classes": 3,
        "Rows": SIZE // 32,
        "Columns": SIZE // 32,
    }


def test_probabilities_are_calibrated_by_the_temperature_of_the_artifact(model: Model, body: bytes) -> None:
    reading = input_fn(body, DICOM).reading
    assert not isinstance(reading, InstanceError)
    logits = model.logits(model.prepare(reading)[None])
    for temperature in (model.temperature, 4.0):
        answered = predict(replace(model, temperature=temperature), body)["Probabilities"]
        expected = torch.softmax(logits[0] / temperature, dim=0).tolist()
        assert list(answered.values()) == pytest.approx(expected, abs=1e-9)


def test_the_answer_says_where_the_machine_s_decoder_failed_and_not_where_the_object_is_refused(
    model: Model, make_slice: MakeSlice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has more memory and more cores, and may decode it."""
    compressed = make_slice(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64), syntax=JPEGLosslessSV1)
    error = predict(model, compressed.replace(b"\xff\xd9", bytes(2)))["Error"]
    assert (error["Code"], "OfThisMachine" in error) == ("UndecodablePixelData", False)

    def no_decoder(*_: object) -> None:
        raise NoDecoder("the decoder crashes on it")

    monkeypatch.setattr(SHARED, "decode", no_decoder)
    error = predict(model, compressed)["Error"]
    assert (error["Code"], error["OfThisMachine"]) == ("UndecodablePixelData", True)


def test_a_model_of_phantoms_says_so_on_every_answer_and_no_other_does(model: Model, body: bytes) -> None:
    phantoms = replace(model, synthetic=True)
    for content in (body, b"no DICOM"):
        assert predict(phantoms, content)["Synthetic"] is True
        assert "Synthetic" not in predict(model, content)


class Overflowing(Backend):
    """A backend with logits that no softmax has a number for."""

    def __init__(self, *logits: float) -> None:
        self._logits = torch.tensor([logits], dtype=torch.double)

    def outputs(self, images: torch.Tensor) -> Outputs:
        return Outputs(self._logits)


@pytest.mark.parametrize("logits", [(math.nan, 0.0, 0.0), (math.inf, 0.0, 0.0), (-math.inf, -math.inf, -math.inf)])
def test_a_slice_without_probabilities_is_an_answer(
    model: Model, body: bytes, logits: tuple[float, float, float]
) -> None:
    document = predict(replace(model, backend=Overflowing(*logits)), body)
    assert document.pop("Error") == {
        "Code": "NoProbabilities",
        "Message": "The network computes no finite probabilities for this slice; check the model's weights.",
    }
    assert document == {
        "Schema": "prediction/2",
        "SOPInstanceUID": SOP_INSTANCE_UID,
        "ContentSHA256": hashlib.sha256(body).hexdigest(),
        "Model": model.identity,
    }


def test_a_bad_object_is_an_answer(model: Model, make_slice: MakeSlice) -> None:
    body = make_slice(NumberOfFrames=2)
    document = predict(model, body)
    assert document.pop("Error") == {
        "Code": "MultiFrame",
        "Message": "NumberOfFrames is not 1; only one frame is read.",
    }
    assert document == {
        "Schema": "prediction/2",
        "SOPInstanceUID": SOP_INSTANCE_UID,
        "ContentSHA256": hashlib.sha256(body).hexdigest(),
        "Model": model.identity,
    }


def test_bytes_that_are_no_dicom_file_have_no_uid(model: Model) -> None:
    document = predict(model, b"?")
    assert (document["SOPInstanceUID"], document["Error"]["Code"]) == ("", "NotDicom")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize(
    "text", ["DOE^JANE 1970-01-01 MRN4711", "19700101", "1.2.04711", "1." * 32 + "1", "A" * 60_000]
)
def test_an_answer_repeats_a_valid_uid_or_nothing(model: Model, make_slice: MakeSlice, text: str) -> None:
    for body in (make_slice(), make_slice(NumberOfFrames=2)):
        at = body.index(b"\xe0\x7f\x10\x00")
        value = text.encode() + b"\0" * (len(text) % 2)
        spoilt = body[:at] + struct.pack("<HH2sH", 8, 0x18, b"UI", len(value)) + value + body[at:]
        answer = output_fn(predict_fn(input_fn(spoilt, DICOM), model), "application/json")
        assert text.encode() not in answer
        assert json.loads(answer)["SOPInstanceUID"] == ""
        assert len(answer) < 2000


def test_a_header_of_the_request_is_not_repeated(body: bytes) -> None:
    with pytest.raises(UnsupportedMediaType) as unsupported:
        input_fn(body, "DOE^JANE" * 1000)
    with pytest.raises(NotAcceptable) as unacceptable:
        output_fn({}, "DOE^JANE" * 1000)
    assert "DOE" not in f"{unsupported.value}{unacceptable.value}"


def test_a_body_may_be_a_bytearray_as_torchserve_gives_it(model: Model, body: bytes) -> None:
    assert predict(model, bytearray(body))["Probabilities"] == predict(model, body)["Probabilities"]


def test_the_same_bytes_get_the_same_answer_however_many_run_at_once(model: Model, body: bytes) -> None:
    def probabilities(_: int) -> dict[str, float]:
        answer: dict[str, float] = predict(model, body)["Probabilities"]
        return answer

    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        answers = list(pool.map(probabilities, range(16)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("content_type", ["application/dicom", "Application/DICOM; transfer-syntax=*"])
def test_content_types_that_are_read(content_type: str, body: bytes) -> None:
    assert input_fn(body, content_type).sop_instance_uid == SOP_INSTANCE_UID


@pytest.mark.parametrize("content_type", ["", "application/json", "application/dicom+json"])
def test_content_types_that_are_not(content_type: str, body: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="send application/dicom"):
        input_fn(body, content_type)


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/html, application/json;q=0.9"])
def test_answers_that_are_written(accept: str) -> None:
    assert output_fn({"Schema": "prediction/2"}, accept) == b'{"Schema":"prediction/2"}'


def test_an_answer_that_is_not(model: Model) -> None:
    with pytest.raises(NotAcceptable, match="application/json"):
        output_fn({}, "text/csv")
