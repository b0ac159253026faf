"""Models to evaluate: quick ones in memory, and packed artifacts of untrained networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from model_code.artifacts import packing
from model_code.artifacts.artifact import sha256
from model_code.artifacts.metadata import Metadata
from model_code.backends import known_answer, networks
from model_code.backends.torch_backend import TorchBackend
from model_code.inference import Model
from model_code.transforms import Preprocessing

LABELS = ("normal", "cap", "covid")
SIZE = 64

MakeModel = Callable[..., Model]
MakeArchive = Callable[..., Path]


def make_model(labels: tuple[str, ...] = LABELS, temperature: float = 1.0, seed: int = 0, size: int = 8) -> Model:
    """A linear model of so many pixels; another seed is another model."""
    torch.manual_seed(seed)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(size * size, len(labels))).eval()
    identity = {"Name": "linear", "Version": str(seed), "WeightsSHA256": f"{seed:064x}"}
    return Model(TorchBackend(linear), Preprocessing(image_size=size), labels, temperature, identity)


@pytest.fixture(scope="session", name="make_model")
def make_model_fixture() -> MakeModel:
    """``make_model`` for tests."""
    return make_model


@pytest.fixture(scope="session")
def make_archive(tmp_path_factory: pytest.TempPathFactory) -> MakeArchive:
    """Packs an untrained network for the labels as a model.tar.gz; the same arguments give the same file."""
    made: dict[tuple[object, ...], Path] = {}

    def make(labels: tuple[str, ...] = LABELS, temperature: float = 1.0, seed: int = 0) -> Path:
        if (labels, temperature, seed) not in made:
            folder = tmp_path_factory.mktemp("model")
            torch.manual_seed(seed)
            built = networks.build(len(labels)).eval()
            weights, preprocessing = packing.serialise(built), Preprocessing(image_size=SIZE)
            about = Metadata(
                name="untrained",
                version=str(seed),
                labels=labels,
                preprocessing=preprocessing,
                weights_sha256=sha256(weights),
                temperature=temperature,
                known_answer=known_answer.answer(TorchBackend(built), preprocessing),
            )
            packing.write(folder / "model", weights, about, {}, {})
            packing.pack(folder / "model", folder / "model.tar.gz")
            made[labels, temperature, seed] = folder / "model.tar.gz"
        return made[labels, temperature, seed]

    return make
