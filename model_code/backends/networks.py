"""The registry of networks by name: MONAI's DenseNets for slices with one channel. Add another to NETWORKS."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

DEFAULT = "densenet121"
CLASSIFIER = "class_layers.out"
"""Where a network of NETWORKS has the linear layer that gives its logits; what this layer takes are the features."""
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


class _WithItsInput(nn.Module):
    """A classifier that returns beside the logits what it was given."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.classifier(features), features


def with_features(network: nn.Module) -> nn.Module:
    """Return a network with the same parameters that returns logits and features; ``network`` stays as it is.

    A network without CLASSIFIER is returned itself and gives logits alone.
    """
    *parents, last = CLASSIFIER.split(".")
    changed = parent = _shallow(network)
    for name in (*parents, last):
        child = parent._modules.get(name)
        if child is None:
            return network
        replaced = _shallow(child) if name in parents else _WithItsInput(child)
        parent._modules[name] = replaced
        parent = replaced
    return changed


def _shallow(module: nn.Module) -> nn.Module:
    """Return a copy with the same parameters and submodules, of which another may take one's place."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied
