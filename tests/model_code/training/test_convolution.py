"""Faster convolutions: the same values and gradients as torch's own, under the same names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model_code.backends import networks
from model_code.training.convolution import Convolution, quicken
from model_code.training.distributed import Worker
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.learner import Learner

SLOW, WIDE = "AVX2", "AVX512"


@pytest.fixture
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    capability: str = request.param
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    return capability


def learnt(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return a layer's output for images, and its gradients by images and weight."""
    layer.zero_grad()
    images = images.clone().requires_grad_()
    made = layer(images)
    (made * torch.linspace(-1, 1, made.numel()).reshape(made.shape)).sum().backward()
    assert images.grad is not None
    return [made.detach(), images.grad, *(one.grad for one in layer.parameters() if one.grad is not None)]


@pytest.mark.parametrize(("channels", "kernel", "stride"), [(1, 7, 2), (6, 3, 1)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_torchs_own(
    channels: int, kernel: int, stride: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, 8, kernel, stride, padding=kernel // 2, bias=False).double()
    images = torch.rand(3, channels, 21, 18).double().contiguous(memory_format=layout)
    expected, got = learnt(plain, images), learnt(Convolution(plain), images)
    assert len(expected) == len(got) == 3
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("processor", [SLOW], indirect=True)
def test_the_network_keeps_its_weights_their_names_and_the_random_state(processor: str) -> None:
    built = networks.build(3)
    before, state = {name: one.clone() for name, one in built.state_dict().items()}, torch.get_rng_state()
    quicken(built)
    assert sum(isinstance(one, Convolution) for one in built.modules()) == 58
    assert list(built.state_dict()) == list(before)
    assert all(torch.equal(one, before[name]) for name, one in built.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("processor", [SLOW], indirect=True)
def test_a_network_that_learns_on_a_processor_has_them(processor: str) -> None:
    learner = Learner(torch.ones(3), 1, Hyperparameters(), Worker(0, 1, torch.device("cpu")))
    assert any(isinstance(one, Convolution) for one in learner.network.modules())


@pytest.mark.parametrize("processor", [WIDE], indirect=True)
def test_a_processor_that_is_quick_at_all_of_it_keeps_torchs_own(processor: str) -> None:
    built = networks.build(3)
    quicken(built)
    assert not any(isinstance(one, Convolution) for one in built.modules())


def test_a_convolution_that_it_does_not_compute_is_refused() -> None:
    with pytest.raises(ValueError, match="bias, groups"):
        Convolution(nn.Conv2d(4, 4, 3))
