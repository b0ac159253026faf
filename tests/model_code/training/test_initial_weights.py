"""Weights to start from: torchvision's and MONAI's names are taken, everything that does not fit is refused by name."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets.densenet import DenseNet121
from torch import nn

from model_code.backends import networks
from model_code.errors import TrainingError
from model_code.snapshot import InitialWeights
from model_code.training import initial_weights
from model_code.training.distributed import Worker
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.initial_weights import FIRST_CONVOLUTION, fitted, read
from model_code.training.learner import Learner

State = dict[str, torch.Tensor]
CLASSES = 3


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """A DenseNet of colour pictures with other classes, and with statistics that are not those of a new one."""
    torch.manual_seed(11)
    network = DenseNet121(spatial_dims=2, in_channels=3, out_channels=7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
    return network.eval()


@pytest.fixture(scope="module")
def ours() -> nn.Module:
    return networks.build(CLASSES)


def monai(state: State) -> State:
    return dict(state)


def torchvision(state: State) -> State:
    renamed = {name.replace(".layers.", "."): one for name, one in state.items()}
    return {name.replace("class_layers.out", "classifier"): one for name, one in renamed.items()}


def torchvision_of_2017(state: State) -> State:
    """The names in torchvision's published files: norm.1 within layers, and no count of batches."""
    names = {name: re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name) for name in torchvision(state)}
    return {names[name]: one for name, one in torchvision(state).items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("names", [monai, torchvision, torchvision_of_2017])
def test_a_grey_slice_has_the_features_of_the_original_with_the_slice_in_each_channel(
    original: nn.Module, ours: nn.Module, names: Callable[[State], State]
) -> None:
    found = fitted(names(original.state_dict()), ours.state_dict())
    network = networks.build(CLASSES)
    network.load_state_dict(found, strict=False)
    grey = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        features = network.eval().get_submodule("features")(grey)
        expected = original.get_submodule("features")(grey.expand(2, 3, 64, 64))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    assert not any(name.startswith("class_layers.out") for name in found)


def test_weights_of_one_channel_are_taken_as_they_are(ours: nn.Module) -> None:
    state = networks.build(5).state_dict()
    assert torch.equal(fitted(state, ours.state_dict())[FIRST_CONVOLUTION], state[FIRST_CONVOLUTION])


def test_a_learner_begins_with_them_and_with_the_same_random_classifier(original: nn.Module, ours: nn.Module) -> None:
    found = fitted(original.state_dict(), ours.state_dict())
    alone = Worker(0, 1, torch.device("cpu"))
    plain, started = (
        Learner(torch.ones(CLASSES), 1, Hyperparameters(), alone, *initial).network.state_dict()
        for initial in ((), (found,))
    )
    assert all(torch.equal(started[name], one) for name, one in found.items())
    assert torch.equal(plain["class_layers.out.weight"], started["class_layers.out.weight"])


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: one for key, one in state.items() if key != name}


def with_(name: str, tensor: torch.Tensor) -> Callable[[State], State]:
    return lambda state: state | {name: tensor}


NORM, VARIANCE = "features.norm0.weight", "features.norm0.running_var"
BATCHES = "features.norm0.num_batches_tracked"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(NORM), f"{NORM} is missing"),
        (with_("features.norm9.weight", torch.ones(3)), "'features.norm9.weight' is not of this network"),
        (with_("backbone.conv0.weight", torch.ones(3)), "'backbone.conv0.weight' is not of this network"),
        (with_(NORM, torch.ones(65)), f"{NORM} has the shape (65,), not (64,)"),
        (with_(NORM, torch.ones(1).expand(2**40)), f"{NORM} has the shape (1099511627776,)"),
        (with_(NORM, torch.full((64,), float("nan"))), f"{NORM} has numbers that are infinite or none"),
        (with_(NORM, torch.full((64,), 1e300, dtype=torch.float64)), f"{NORM} has numbers that are infinite or none"),
        (with_(NORM, torch.ones(64).to_sparse()), f"{NORM} is no plain tensor"),
        (with_(NORM, torch.ones(64, device="meta")), f"{NORM} is no plain tensor"),
        (
            with_(FIRST_CONVOLUTION, torch.ones(1).expand(2**20, 3, 2**14, 2**14)),
            f"{FIRST_CONVOLUTION} has the shape (1048576, 3, 16384, 16384)",
        ),
        (with_(NORM, torch.ones(64, dtype=torch.int64)), f"{NORM} has the type torch.int64"),
        (with_(NORM, torch.ones(64, dtype=torch.complex64)), f"{NORM} has the type torch.complex64"),
        (with_(FIRST_CONVOLUTION, torch.ones(64, 2, 7, 7)), f"{FIRST_CONVOLUTION} has the shape (64, 2, 7, 7)"),
        (
            lambda state: state | {"features.denseblock1.denselayer1.norm1.weight": torch.ones(64)},
            "'features.denseblock1.denselayer1.layers.norm1.weight' is there twice",
        ),
        (with_(VARIANCE, torch.full((64,), -0.5)), f"{VARIANCE} has a negative variance"),
        (with_(VARIANCE, torch.full((64,), float("inf"))), f"{VARIANCE} has numbers that are infinite or none"),
        (with_(BATCHES, torch.tensor(-1)), f"{BATCHES} is below 0"),
        (with_(BATCHES, torch.tensor([1, 2])), f"{BATCHES} has the shape (2,), not ()"),
        (with_(BATCHES, torch.tensor(1.5)), f"{BATCHES} has the type torch.float32"),
        (lambda _: {}, "; and 599 more"),
    ],
)
def test_what_does_not_fit_is_named(
    original: nn.Module, ours: nn.Module, change: Callable[[State], State], said: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        fitted(change(original.state_dict()), ours.state_dict())
    assert str(caught.value).startswith("The initial weights do not fit the network: ")
    assert said in str(caught.value)


def test_weights_of_another_densenet_do_not_fit(original: nn.Module) -> None:
    with pytest.raises(TrainingError, match="do not fit the network: "):
        fitted(original.state_dict(), networks.build(CLASSES, "densenet169").state_dict())


def pinned(path: Path) -> InitialWeights:
    return InitialWeights(sha256=sha256(path.read_bytes()).hexdigest(), licence="as you like")


def refused(path: Path, ours: nn.Module) -> str:
    with pytest.raises(TrainingError) as caught:
        read(path, pinned(path), ours)
    return str(caught.value)


def test_a_file_is_read_and_must_be_the_one_that_the_snapshot_pins(
    tmp_path: Path, original: nn.Module, ours: nn.Module
) -> None:
    path = tmp_path / "weights.pth"
    assert read(path, None, ours) == {}
    torch.save(original.state_dict(), path)
    assert read(path, pinned(path), ours).keys() == fitted(original.state_dict(), ours.state_dict()).keys()
    known = pinned(path)
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(TrainingError, match="they were changed after the snapshot"):
        read(path, known, ours)
    with pytest.raises(TrainingError, match="its snapshot pins none"):
        read(path, None, ours)
    path.unlink()
    with pytest.raises(TrainingError, match=r"There is no weights\.pth in the channel"):
        read(path, known, ours)


class Hostile:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("save", [torch.save, lambda one, path: path.write_bytes(pickle.dumps(one))])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, ours: nn.Module, save: Callable[[Any, Path], object]
) -> None:
    path = tmp_path / "weights.pth"
    save({"features.conv0.weight": Hostile(tmp_path / "run")}, path)
    assert refused(path, ours).startswith("The initial weights cannot be loaded without running code from the file")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"weights" * 1000])
def test_a_file_that_is_none_of_torch_is_refused(tmp_path: Path, ours: nn.Module, body: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(body)
    assert "cannot be loaded" in refused(path, ours)


def test_a_damaged_zip_file_is_refused(tmp_path: Path, ours: nn.Module) -> None:
    path = tmp_path / "weights.pth"
    torch.save({NORM: torch.ones(64)}, path)
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK??"))
    assert refused(path, ours).startswith("The initial weights are a damaged zip file (BadZipFile)")


@pytest.mark.parametrize("document", [[torch.ones(1)], {"state_dict": {}}, {1: torch.ones(1)}, torch.ones(1)])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, ours: nn.Module, document: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save(document, path)
    assert refused(path, ours).startswith("The initial weights are no state dict")


def test_a_file_that_is_too_long_or_unpacks_to_too_much_is_not_read(
    tmp_path: Path, ours: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initial_weights, "MOST_BYTES", 10_000)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    path = tmp_path / "weights.pth"
    path.write_bytes(bytes(10_001))
    assert "have 10,001 bytes; at most 10,000 are read" in refused(path, ours)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1_000_000))
    assert "unpack to 1,000,000 bytes" in refused(path, ours)
