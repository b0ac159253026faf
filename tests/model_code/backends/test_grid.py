"""A grid says where each class's logit comes from: its mean is the logit, in every backend."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import nn

from model_code.backends import networks
from model_code.backends.backend import Outputs
from model_code.backends.openvino_backend import OpenVinoBackend, ov
from model_code.backends.torch_backend import TorchBackend
from model_code.optimisation.export import export, serialised
from model_code.optimisation.parity import FP32, HALF
from model_code.optimisation.quantisation import layers, quantise, restored
from model_code.optimisation.trial import grid_problems
from tests.model_code.conftest import SIZE


class Headed(nn.Module):
    """A network whose maps are the picture, with the given last layers."""

    def __init__(self, **last: nn.Module) -> None:
        super().__init__()
        self.class_layers = nn.Sequential(OrderedDict(last))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.class_layers(images)
        return logits


def classifier(takes: int) -> nn.Linear:
    line = nn.Linear(takes, 2)
    nn.init.zeros_(line.weight)
    line.weight.data[:, 0] = torch.tensor([2.0, -1.0])
    line.bias.data = torch.tensor([0.5, 0.0])
    return line


def test_the_grid_is_the_classifier_at_each_position() -> None:
    network = Headed(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), out=classifier(1))
    picture = torch.zeros(1, 1, 2, 3)
    picture[..., 1, 2] = 6.0
    outputs = TorchBackend(network).outputs(picture)
    assert outputs.grid is not None
    assert outputs.grid[0].tolist() == [[[0.5, 0.5, 0.5], [0.5, 0.5, 12.5]], [[0.0, 0.0, 0.0], [0.0, 0.0, -6.0]]]
    assert outputs.logits.tolist() == [[2.5, -1.0]] == outputs.grid.mean(dim=(2, 3)).tolist()


@pytest.mark.parametrize(
    "network",
    [
        Headed(flatten=nn.Flatten(), out=classifier(16)),
        Headed(pool=nn.AdaptiveAvgPool2d(2), flatten=nn.Flatten(), out=classifier(4)),
        Headed(pool=nn.AdaptiveMaxPool2d(1), flatten=nn.Flatten(), out=classifier(1)),
        Headed(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), relu=nn.ReLU(), out=classifier(1)),
        Headed(mean=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), out=classifier(1)),
    ],
    ids=["no mean", "a mean of each quarter", "a maximum", "not linear", "another name"],
)
def test_a_network_whose_classifier_takes_anything_but_means_has_no_grid(network: nn.Module) -> None:
    outputs = TorchBackend(network).outputs(torch.rand(1, 1, 4, 4))
    assert outputs.grid is None
    assert outputs.features is not None


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return networks.build(3).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(8, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def in_fp32(network: nn.Module, _images: torch.Tensor) -> ov.Model:
    return export(network, SIZE)


def in_int8(network: nn.Module, images: torch.Tensor) -> ov.Model:
    model = export(network, SIZE)
    return restored(quantise(model, list(images), exact_bytes=True), model, layers(model)[:1])


@pytest.mark.parametrize("form", [in_fp32, in_int8])
def test_the_mean_of_the_grid_is_the_logit_in_openvino_too(
    form: Callable[[nn.Module, torch.Tensor], ov.Model], network: nn.Module, images: torch.Tensor
) -> None:
    outputs = OpenVinoBackend.read(*serialised(form(network, images))).outputs(images)
    assert outputs.grid is not None
    assert outputs.grid.shape == (8, 3, SIZE // 32, SIZE // 32)
    torch.testing.assert_close(outputs.grid.mean(dim=(2, 3)), outputs.logits, atol=1e-4, rtol=0)
    assert not grid_problems(outputs, FP32)


def test_other_weights_have_another_grid(network: nn.Module, images: torch.Tensor) -> None:
    torch.manual_seed(1)
    ours, others = (TorchBackend(one).outputs(images).grid for one in (network, networks.build(3).eval()))
    assert ours is not None
    assert others is not None
    both = torch.stack([ours.flatten(), others.flatten()])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.9


@pytest.mark.parametrize("apart", [0.1, torch.nan])
def test_a_grid_of_other_logits_is_a_problem(apart: float) -> None:
    logits, grid = torch.zeros(2, 3), torch.zeros(2, 3, 4, 4)
    assert grid_problems(Outputs(logits, None, grid), HALF) == []
    assert grid_problems(Outputs(logits), HALF) == []
    grid[1, 2] += apart
    (problem,) = grid_problems(Outputs(logits, None, grid), HALF)
    assert "the mean of its grid" in problem
