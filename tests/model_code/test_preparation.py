"""The same anatomy gets the same answer however it was stored; an old model keeps what it was trained with."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model_code.backends import known_answer
from model_code.container import Container
from model_code.errors import ArtifactError, InstanceError
from model_code.inference import Model, input_fn, model_fn, predict_fn
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.reading.geometry import Turn
from model_code.reading.notes import Note
from model_code.transforms import Preparation, Preprocessing
from tests.model_code.conftest import LABELS, SIZE, MakeSlice, chest
from wetread.demo.phantoms import phantom

ORIENTATIONS = {
    "prone": [-1, 0, 0, 0, -1, 0],
    "mirrored": [-1, 0, 0, 0, 1, 0],
    "flipped": [1, 0, 0, 0, -1, 0],
    "transposed": [0, 1, 0, 1, 0, 0],
    "a quarter turn": [0, 1, 0, -1, 0, 0],
}
STANDARD: dict[str, Any] = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [3, 3]}


@pytest.fixture(scope="module")
def model(container: Container) -> Model:
    return model_fn(str(container.model_dir))


def answer(model: Model, body: bytes) -> dict[str, Any]:
    document = predict_fn(input_fn(body, "application/dicom"), model)
    assert "Error" not in document
    return document


def stored_of(label: str) -> np.ndarray:
    return chest(label, np.random.default_rng(3))


def stored_as(upright: np.ndarray, name: str) -> np.ndarray:
    """Return how an upright array is stored with the orientation ``name``."""
    turns = {
        "prone": upright[::-1, ::-1],
        "mirrored": upright[:, ::-1],
        "flipped": upright[::-1],
        "transposed": upright.T,
        "a quarter turn": upright[:, ::-1].T,
    }
    return np.ascontiguousarray(turns[name])


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("label", LABELS)
def test_a_turned_copy_gets_the_same_probabilities(model: Model, make_slice: MakeSlice, label: str, name: str) -> None:
    upright = answer(model, make_slice(stored_of(label), **STANDARD))
    stored = stored_as(stored_of(label), name)
    turned = answer(model, make_slice(stored, **STANDARD | {"ImageOrientationPatient": ORIENTATIONS[name]}))
    assert turned["Class"] == upright["Class"]
    assert turned["Probabilities"] == pytest.approx(upright["Probabilities"], abs=1e-3)
    assert upright["Notes"] == []
    assert turned["Notes"] == [Note.TURNED]


@pytest.mark.parametrize("attribute", ["PixelSpacing", "PixelAspectRatio"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("label", LABELS)
def test_a_copy_with_pixels_twice_as_high_gets_nearly_the_same(
    model: Model, make_slice: MakeSlice, label: str, turned: bool, attribute: str
) -> None:
    fine = np.kron(stored_of(label), np.ones((2, 2), np.uint16))
    coarse = fine.reshape(SIZE, 2, 2 * SIZE).mean(axis=1).round().astype(np.uint16)
    upright = answer(model, make_slice(fine, **STANDARD))
    changes = STANDARD | {"PixelSpacing": None, attribute: [2, 1]}
    if turned:
        coarse = np.ascontiguousarray(coarse.T)
        changes |= {attribute: [1, 2], "ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}
    uneven = answer(model, make_slice(coarse, **changes))
    assert uneven["Class"] == upright["Class"]
    assert uneven["Probabilities"] == pytest.approx(upright["Probabilities"], abs=0.05)
    assert uneven["Notes"] == [Note.TURNED, Note.RESAMPLED] if turned else [Note.RESAMPLED]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_turned_phantom_is_prepared_to_the_same_pixels(name: str) -> None:
    upright = read_slice(read_instance(encoded("covid")))

    def turn(dataset: Any) -> None:
        stored = stored_as(dataset.pixel_array, name)
        dataset.PixelData = stored.tobytes()
        dataset.Rows, dataset.Columns = stored.shape
        dataset.ImageOrientationPatient = ORIENTATIONS[name]
        if name in {"transposed", "a quarter turn"}:
            dataset.PixelSpacing = list(reversed(dataset.PixelSpacing))

    turned = read_slice(read_instance(encoded("covid", turn)))
    for size in (64, 96, 224):
        preprocessing = Preprocessing(image_size=size)
        assert torch.equal(preprocessing.prepare(turned), preprocessing.prepare(upright))


def encoded(label: str, change: Callable[[Any], None] = lambda _: None) -> bytes:
    dataset = phantom(label, 0, 0, size=128)
    change(dataset)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_what_the_header_does_not_say_is_assumed_and_noted(model: Model, make_slice: MakeSlice) -> None:
    assumed = answer(model, make_slice(stored_of("cap")))
    said = answer(model, make_slice(stored_of("cap"), **STANDARD))
    assert assumed["Probabilities"] == said["Probabilities"]
    assert assumed["Notes"] == [Note.ORIENTATION_ASSUMED, Note.SQUARE_ASSUMED]
    by_letters = answer(model, make_slice(stored_of("cap"), PatientOrientation=["L", "P"]))
    assert by_letters["Notes"] == [Note.ORIENTATION_BY_LETTERS, Note.SQUARE_ASSUMED]


@pytest.mark.parametrize(
    ("part", "is_noted"),
    [("CHEST", False), ("HEAD", True), ("head ", True), ("KNEE", True), ("THORAX", False), ("Doe^Jane", False)],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_another_part_of_the_body_is_noted(model: Model, make_slice: MakeSlice, part: str, is_noted: bool) -> None:
    notes = answer(model, make_slice(stored_of("cap"), BodyPartExamined=part, **STANDARD))["Notes"]
    assert notes == ([Note.OTHER_BODY_PART] if is_noted else [])


def test_a_model_says_which_parts_of_the_body_it_is_for(model: Model, make_slice: MakeSlice) -> None:
    for_heads = dataclasses.replace(model, body_parts=frozenset({"HEAD"}))
    assert answer(for_heads, make_slice(stored_of("cap"), BodyPartExamined="HEAD", **STANDARD))["Notes"] == []
    notes = answer(for_heads, make_slice(stored_of("cap"), BodyPartExamined="CHEST", **STANDARD))["Notes"]
    assert notes == [Note.OTHER_BODY_PART]


def test_enlarging_interpolates() -> None:
    step = np.full((64, 64), -1350, np.float32)
    step[:, 32:] = 150
    row = Preprocessing(image_size=256).prepare(CTSlice(step))[0, 128]
    assert (row.diff() >= 0).all()
    assert row.unique().numel() > 3


@pytest.mark.parametrize("height", [0.1, 0.5, 2.0, 10.0])
def test_the_prepared_picture_is_of_one_size_whatever_the_pixels_are(height: float) -> None:
    prepared = Preprocessing(image_size=96).prepare(CTSlice(np.full((128, 200), 150, np.float32), pixel_height=height))
    rows, columns = (int(prepared[0].amax(axis).sum()) for axis in (1, 0))
    assert prepared.shape == (1, 96, 96)
    assert rows / columns == pytest.approx(128 * height / 200, rel=0.1)


def before(hounsfield: np.ndarray, size: int) -> torch.Tensor:
    """Return what models were given before there were two preparations: this is the code of then."""
    image = torch.from_numpy(hounsfield).float()[None]
    image = ((image + 1350.0) / 1500.0).clamp_(0, 1)
    longest = max(image.shape[1:])
    if longest != size:
        rows, columns = (max(1, round(side * (size / longest))) for side in image.shape[1:])
        image = functional.interpolate(image[None], (rows, columns), mode="area")[0]
    missing = [size - side for side in image.shape[1:]]
    if any(missing):
        top, left = (one // 2 for one in missing)
        image = functional.pad(image, (left, missing[1] - left, top, missing[0] - top))
    return image


@pytest.fixture(scope="module")
def old_artifact(container: Container, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model as an earlier container would have written it."""
    folder = tmp_path_factory.mktemp("old") / "model"
    shutil.copytree(container.model_dir, folder)
    document = json.loads((folder / "metadata.json").read_text())
    del document["preprocessing"]["preparation"], document["body_parts"]
    image = before(known_answer.make(Preparation.AS_STORED).hounsfield, SIZE)
    document["probe"]["logits"] = model.logits(image[None])[0].tolist()
    (folder / "metadata.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("shape", [(512, 512), (300, 200), (64, 100), (40, 64)])
def test_an_old_artifact_keeps_its_preparation_bit_for_bit(old_artifact: Path, shape: tuple[int, int]) -> None:
    old = model_fn(str(old_artifact))
    assert old.preprocessing.preparation is Preparation.AS_STORED
    hounsfield = np.random.default_rng(1).normal(-500, 600, shape).astype(np.float32)
    found = CTSlice(hounsfield, Turn(exchange=True), 2.0, hounsfield > 500)
    assert torch.equal(old.prepare(found), before(hounsfield, SIZE))


def test_an_old_artifact_notes_what_it_cannot_take_into_account(old_artifact: Path, make_slice: MakeSlice) -> None:
    old = model_fn(str(old_artifact))
    stored = stored_as(stored_of("cap"), "prone")
    prone = answer(old, make_slice(stored, **STANDARD | {"ImageOrientationPatient": ORIENTATIONS["prone"]}))
    assert prone["Notes"] == [Note.USED_AS_STORED]
    assert answer(old, make_slice(stored_of("cap"), **STANDARD))["Notes"] == []


@pytest.mark.parametrize("removed", [True, False])
def test_the_known_answer_finds_a_model_that_is_given_the_other_preparation(
    container: Container, old_artifact: Path, tmp_path: Path, removed: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(container.model_dir if removed else old_artifact, folder)
    document = json.loads((folder / "metadata.json").read_text())
    document["preprocessing"]["preparation"] = "as_stored" if removed else "patient_axes"
    (folder / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="prepares or computes slices differently"):
        model_fn(str(folder))


@pytest.mark.parametrize("changed", ["turn", "pixel_height", "padding"])
def test_the_known_answer_is_of_a_slice_that_is_turned_uneven_and_padded(changed: str) -> None:
    made = known_answer.make(Preparation.PATIENT_AXES)
    plain = {"turn": Turn(), "pixel_height": 1.0, "padding": None}[changed]
    images = [
        Preprocessing(image_size=SIZE).prepare(one) for one in (made, dataclasses.replace(made, **{changed: plain}))
    ]
    quarters = [functional.adaptive_avg_pool2d(image, 2) for image in images]
    assert (quarters[0] - quarters[1]).abs().max() > known_answer.TOLERANCE


def test_a_model_is_given_no_picture_of_nothing(make_slice: MakeSlice) -> None:
    assert isinstance(input_fn(make_slice(np.zeros((64, 64), np.uint16)), "application/dicom").reading, InstanceError)
