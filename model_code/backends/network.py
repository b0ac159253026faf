"""The networks that there are, by name: MONAI's DenseNets for slices with one channel, and where to add another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

DEFAULT = "densenet121"
SPARED = ("mlflow", "pandas", "matplotlib", "sklearn", "scipy", "PIL")
"""Packages that MONAI imports where it finds them, for most of the time that it takes, and its networks do not need."""


def _densenet(kind: str, classes: int) -> nn.Module:
    """One of MONAI's DenseNets, imported only now: a server that computes with OpenVINO builds no network."""
    spared = [name for name in SPARED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(spared))  # type: ignore[arg-type] # None: as if it were not installed
    try:
        from monai.networks.nets import densenet  # noqa: PLC0415
    finally:
        for name in spared:
            del sys.modules[name]
    network: nn.Module = getattr(densenet, kind)(spatial_dims=2, in_channels=1, out_channels=classes)
    return network


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    DEFAULT: partial(_densenet, "DenseNet121"),
    "densenet169": partial(_densenet, "DenseNet169"),
    "densenet201": partial(_densenet, "DenseNet201"),
}
"""What can be trained and served, by its name in hyperparameters and metadata.json: number of classes to network."""


def build(classes: int, name: str = DEFAULT) -> nn.Module:
    """Return an untrained network of NETWORKS for ``classes`` outputs; input N x 1 x size x size, output logits.

    Weights lie channels last: on CPU the convolutions then take a sixth less time, and they compute the same.
    """
    return NETWORKS[name](classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def device_of(network: nn.Module) -> torch.device:
    """Where the network's weights are."""
    return next(network.parameters()).device


def make_repeatable() -> None:
    """Let no GPU choose a kernel by how fast it happened to run, nor round fp32 to the 10 bits of TF32.

    The same input must always get the same answer, and fp32 is what every other form is proved against.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False


class TorchForm:
    """The network as it was trained, on the processor or the GPU where its weights are; slices of any size."""

    def __init__(self, network: nn.Module) -> None:
        """``network`` is in evaluation mode."""
        self._network = network

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """N x 1 x size x size to N x classes logits, on the CPU and in double precision."""
        return logits(self._network, images)


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return N x classes logits on the CPU, in double precision."""
    with torch.inference_mode():
        answer: torch.Tensor = network(images.to(device_of(network), memory_format=torch.channels_last))
    return answer.double().cpu()
