"""MONAI's networks are built without its optional imports, and another network takes one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from model_code import inference
from model_code.backends import networks
from model_code.training.train import train
from tests.model_code.conftest import LABELS, SIZE, chests, opt_ml

BUILD = """
import sys
from model_code.backends import networks
networks.build(3)
print([name for name in networks.UNNEEDED_IMPORTS if name in sys.modules])
import scipy
"""


def test_building_a_network_imports_no_package_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_network_gives_features_and_a_grid_beside_the_same_logits_and_keeps_its_own_form() -> None:
    network = networks.build(3).eval()
    names = list(network.state_dict())
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        logits, features, grid = networks.with_outputs(network)(images)
        assert torch.equal(logits, expected)
        assert torch.equal(network.get_submodule(networks.CLASSIFIER)(features), expected)
        assert torch.equal(network(images), expected)
        torch.testing.assert_close(grid.mean(dim=(2, 3)), expected, atol=1e-5, rtol=0)
    assert grid.shape == (2, 3, SIZE // 32, SIZE // 32)
    assert list(network.state_dict()) == names


class Means(nn.Module):
    """A made-up network: a few means of each slice, and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool, self.line = nn.AdaptiveAvgPool2d(4), nn.Linear(16, classes)

    def forward(self, images: torch.Tensor) -> Any:
        return self.line(self.pool(images).flatten(1))


def test_another_network_takes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.NETWORKS, "means", Means)  # type: ignore[arg-type]
    container = opt_ml(tmp_path, chests(), epochs=1, image_size=SIZE, network="means")
    train(container)
    model = inference.model_fn(str(container.model_dir))
    assert model.logits(torch.zeros(2, 1, SIZE, SIZE)).shape == (2, len(LABELS))
    assert model.backend.outputs(torch.zeros(1, 1, SIZE, SIZE)).features is None
