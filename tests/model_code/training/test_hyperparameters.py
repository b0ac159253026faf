"""Hyperparameters come as strings, in several spellings, and are refused all at once."""

from __future__ import annotations

import json
from pathlib import Path

import botocore.session
import pytest

from model_code.errors import TrainingError
from model_code.training.hyperparameters import Hyperparameters, read_hyperparameters


def read(tmp_path: Path, values: object) -> Hyperparameters:
    path = tmp_path / "hyperparameters.json"
    path.write_text(json.dumps(values))
    return read_hyperparameters(path)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_hyperparameters(tmp_path / "absent.json") == Hyperparameters()
    assert Hyperparameters().image_size == 512


def test_strings_become_numbers(tmp_path: Path) -> None:
    values = read(tmp_path, {"epochs": "3", "learning-rate": "1e-4", "sagemaker_program": "x.py"})
    assert (values.epochs, values.learning_rate) == (3, 1e-4)


def test_the_sdk_encodes_strings_twice(tmp_path: Path) -> None:
    assert read(tmp_path, {"model_name": '"lung"', "seed": "7"}).model_name == "lung"


def test_every_problem_is_named(tmp_path: Path) -> None:
    given = {"epochs": "many", "image_size": "32", "seed": "-1", "batch_size": "1", "network": "vgg", "labels": "a,b"}
    with pytest.raises(TrainingError) as caught:
        read(tmp_path, given)
    assert all(name in str(caught.value) for name in given)


@pytest.mark.parametrize("name", ["lungs (v2)", "a\tb", "", "m" * 65, "lunge, rechts"])
def test_a_name_that_the_registry_would_refuse_after_the_training_is_refused_before(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingError, match=r"model_name is '.*', must have 1 to 64 letters, digits, spaces and signs"):
        read(tmp_path, {"model_name": name})


@pytest.mark.parametrize("name", ["chest-ct", "Lunge rechts_2.0+x@y:z/=", "胸部", "m" * 64])
def test_a_name_that_the_registry_takes_is_taken(tmp_path: Path, name: str) -> None:
    metadata = botocore.session.get_session().get_service_model("sagemaker").shape_for("CustomerMetadataValue").metadata
    assert metadata["pattern"].startswith(r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)")
    assert read(tmp_path, {"model_name": name}).model_name == name


@pytest.mark.parametrize("values", [[], "epochs"])
def test_anything_but_an_object_is_refused(tmp_path: Path, values: object) -> None:
    with pytest.raises(TrainingError, match="not an object"):
        read(tmp_path, values)
