"""The registry of networks by name: MONAI's DenseNets for slices with one channel. Add another to NETWORKS."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

DEFAULT = "densenet121"
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
