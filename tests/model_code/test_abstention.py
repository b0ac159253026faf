"""A trained artifact abstains on what is unlike its training, in each of its backends, and says how unlike it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_code import typicality
from model_code.artifacts.artifact import sha256_of
from model_code.container import Container
from model_code.errors import ArtifactError
from model_code.inference import Model, input_fn, model_fn, output_fn, predict_fn
from model_code.training.train import train
from tests.model_code.conftest import LABELS, SIZE, chest, chests, make_slice, opt_ml


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A /opt/ml with a model of twelve training patients, and six to validate on."""
    made = opt_ml(tmp_path_factory.mktemp("abstaining"), chests(8), epochs=3, image_size=SIZE)
    train(made)
    return made


@pytest.fixture(scope="module")
def model(trained: Container) -> Model:
    return model_fn(str(trained.model_dir))


def answered(model: Model, body: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(output_fn(predict_fn(input_fn(body, "application/dicom"), model), ""))
    return answer


def test_chests_of_new_patients_are_answered_with_their_score(model: Model) -> None:
    rng = np.random.default_rng(5)
    for label in LABELS * 4:
        document = answered(model, make_slice(chest(label, rng)))
        typical = document["Typicality"]
        assert typical["Abstained"] is (typical["Score"] > typical["Threshold"]) is (document["Class"] is None)
        assert not typical["Abstained"]


def head(rng: np.random.Generator) -> np.ndarray:
    rows, columns = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    radius = np.hypot(rows, columns)
    hu = np.select([radius < 0.36, radius < 0.40, radius < 0.42], [35.0, 1100.0, 60.0], -1000.0)
    return (hu + rng.normal(1024, 15, hu.shape)).clip(0, 4095).astype(np.uint16)


def test_a_head_gets_no_class_and_the_probabilities_stay_in_the_answer(model: Model) -> None:
    document = answered(model, make_slice(head(np.random.default_rng(6))))
    assert document["Class"] is None
    assert document["Typicality"]["Abstained"] is True
    assert document["Typicality"]["Score"] > document["Typicality"]["Threshold"]
    assert sum(document["Probabilities"].values()) == pytest.approx(1)


def test_two_classes_near_a_tie_are_said_to_be_unsure(model: Model) -> None:
    body = make_slice(chest("covid", np.random.default_rng(5)))
    assert "Unsure" not in answered(model, body)
    assert answered(replace(model, temperature=1000.0), body)["Unsure"] is True


def spoilt(trained: Container, tmp_path: Path, change: Callable[[Path], object]) -> Path:
    folder = Path(shutil.copytree(trained.model_dir, tmp_path / "model"))
    change(folder)
    return folder


def test_a_model_without_its_file_or_with_another_does_not_start(trained: Container, tmp_path: Path) -> None:
    folder = spoilt(trained, tmp_path, lambda folder: (folder / "typicality.npy").unlink())
    with pytest.raises(ArtifactError, match=r"lacks typicality\.npy, which metadata\.json names"):
        model_fn(str(folder))
    (folder / "typicality.npy").write_bytes(b"another")
    with pytest.raises(ArtifactError, match=r"typicality\.npy has the sha256"):
        model_fn(str(folder))


def test_a_file_of_other_features_than_the_networks_does_not_start(trained: Container, tmp_path: Path) -> None:
    def narrower(folder: Path) -> None:
        space = np.load(folder / typicality.FILE)[:, :1000]
        np.save(folder / typicality.FILE, space, allow_pickle=False)
        document = json.loads((folder / "metadata.json").read_text())
        document["typicality"]["sha256"] = sha256_of(folder / typicality.FILE)
        (folder / "metadata.json").write_text(json.dumps(document))

    with pytest.raises(ArtifactError, match=r"typicality\.npy is of 1000 features; the network has 1024"):
        model_fn(str(spoilt(trained, tmp_path, narrower)))


def test_an_artifact_from_before_typicality_answers_without_it(trained: Container, tmp_path: Path) -> None:
    def older(folder: Path) -> None:
        document = json.loads((folder / "metadata.json").read_text())
        del document["typicality"]
        (folder / "metadata.json").write_text(json.dumps(document))
        (folder / "typicality.npy").unlink()

    model = model_fn(str(spoilt(trained, tmp_path, older)))
    document = answered(model, make_slice(head(np.random.default_rng(6))))
    assert "Typicality" not in document
    assert document["Class"] in LABELS
