"""The registry of networks by name: MONAI's DenseNets for slices with one channel. Add another to NETWORKS."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional

DEFAULT = "densenet121"
CLASSIFIER = "class_layers.out"
"""Where a network of NETWORKS has the linear layer that gives its logits; what this layer takes are the features."""
POOL = "pool"
"""The layer beside the classifier that takes the mean of each map."""
UNNEEDED_IMPORTS = ("mlflow", "pandas", "matplotlib", "sklearn", "scipy", "PIL")
"""Optional packages of MONAI that its networks do not need; importing them would take most of the time."""


def _densenet(kind: str, classes: int) -> nn.Module:
    """Build one of MONAI's DenseNets; MONAI is imported only here, since a server with OpenVINO builds no network."""
    hidden = [name for name in UNNEEDED_IMPORTS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: as if it were not installed
    try:
        from monai.networks.nets import densenet  # noqa: PLC0415
    finally:
        for name in hidden:
            del sys.modules[name]
    network: nn.Module = getattr(densenet, kind)(spatial_dims=2, in_channels=1, out_channels=classes)
    return network


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    DEFAULT: partial(_densenet, "DenseNet121"),
    "densenet169": partial(_densenet, "DenseNet169"),
    "densenet201": partial(_densenet, "DenseNet201"),
}
"""What can be trained and served: by name in hyperparameters and metadata.json, from number of classes to network."""


def add_to_logits(network: nn.Module, shift: Sequence[float]) -> None:
    """Add a number to the logit of each class, in the bias of the network's last linear layer."""
    *_, last = (one for one in network.modules() if isinstance(one, nn.Linear))
    with torch.no_grad():
        last.bias.add_(torch.tensor(shift, dtype=last.bias.dtype))


def build(classes: int, name: str = DEFAULT) -> nn.Module:
    """Return an untrained network of NETWORKS for ``classes`` outputs; input N x 1 x size x size, output logits.

    Weights are in channels-last order: on CPU the convolutions then take a sixth less time and compute the same.
    """
    return NETWORKS[name](classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class _Head(nn.Module):
    """The last layers of a network, which return beside the logits what the classifier takes, and a grid.

    The grid is the classifier at each position of the maps, where the others return the mean over these: the classifier
    is linear, so each class's mean over the grid is its logit. It says where a logit comes from.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        before: dict[str, torch.Tensor] = {}
        for name, layer in self.layers.named_children():
            before[name] = maps
            maps = layer(maps)
        classifier = CLASSIFIER.rpartition(".")[2]
        if not _is_mean(self.layers):
            return maps, before[classifier]
        last: nn.Linear = getattr(self.layers, classifier)
        return maps, before[classifier], functional.conv2d(before[POOL], last.weight[:, :, None, None], last.bias)


def _is_mean(layers: nn.Sequential) -> bool:
    """Return whether the last layers are the mean of each map and the classifier."""
    pool, *others = list(layers.children())[-3:]
    return (
        pool is getattr(layers, POOL, None)
        and isinstance(pool, nn.AdaptiveAvgPool2d)
        and pool.output_size in {1, (1, 1)}
        and [type(one) for one in others] == [nn.Flatten, nn.Linear]
    )


def with_outputs(network: nn.Module) -> nn.Module:
    """Return a network with the same parameters that returns what ``Outputs`` holds. ``network`` does not change.

    It returns logits and features, and a grid if the classifier takes the mean of each map. A network without
    CLASSIFIER is returned itself and gives logits alone.
    """
    head, last = CLASSIFIER.split(".")
    layers = network._modules.get(head)
    if not isinstance(layers, nn.Sequential) or last not in layers._modules:
        return network
    changed = copy.copy(network)
    changed._modules = dict(network._modules) | {head: _Head(layers)}
    return changed
