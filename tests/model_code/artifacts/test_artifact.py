"""A model folder is loaded only if it is whole, unaltered, and made of tensors."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from model_code.artifacts.artifact import LAYOUT, describe, load_network, sha256
from model_code.container import Container
from model_code.errors import ArtifactError
from model_code.inference import model_fn


@pytest.fixture
def folder(container: Container, tmp_path: Path) -> Path:
    """A copy of the trained model's folder, to spoil."""
    return Path(shutil.copytree(container.model_dir, tmp_path / "model"))


def load(folder: Path) -> None:
    load_network(folder, describe(folder))


def replace_weights(folder: Path, weights: bytes) -> None:
    document = json.loads((folder / "metadata.json").read_text())
    document["weights"]["sha256"] = sha256(weights)
    (folder / "metadata.json").write_text(json.dumps(document))
    (folder / "model.pth").write_bytes(weights)


@pytest.mark.parametrize("name", LAYOUT)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"lacks {name}"):
        load(folder)


def test_other_weights_than_metadata_names(folder: Path) -> None:
    with (folder / "model.pth").open("ab") as weights:
        weights.write(b"\0")
    with pytest.raises(ArtifactError, match="one of the two was replaced"):
        load(folder)


class Payload:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle ran')",)


def test_a_pickle_that_would_run_code_does_not(folder: Path) -> None:
    torch.save({"weight": Payload()}, folder / "model.pth")
    replace_weights(folder, (folder / "model.pth").read_bytes())
    with pytest.raises(ArtifactError, match="not a state dict"):
        load(folder)
    replace_weights(folder, pickle.dumps(Payload()))
    with pytest.raises(ArtifactError, match="not a state dict"):
        load(folder)


def test_weights_of_another_network(folder: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, folder / "model.pth")
    replace_weights(folder, (folder / "model.pth").read_bytes())
    with pytest.raises(ArtifactError, match="not a state dict of this network"):
        load(folder)


def test_the_network_is_the_one_that_metadata_names(folder: Path) -> None:
    document = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(document | {"network": "densenet169"}))
    with pytest.raises(ArtifactError, match="not a state dict of this network"):
        load(folder)


@pytest.mark.parametrize(
    "preprocessing",
    [{"window_level_hu": -500.0, "window_width_hu": 1500.0}, {"window_level_hu": -600.0, "window_width_hu": 1300.0}],
)
def test_a_model_with_differently_prepared_slices_does_not_start(folder: Path, preprocessing: dict[str, float]) -> None:
    document = json.loads((folder / "metadata.json").read_text())
    document["preprocessing"] = preprocessing
    (folder / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="answers the known slice"):
        model_fn(str(folder))
