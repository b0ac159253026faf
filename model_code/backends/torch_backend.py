"""The torch backend: the network as it was trained, on the processor or the GPU."""

from __future__ import annotations

import torch
from torch import nn

from model_code.backends.backend import Backend, Outputs
from model_code.backends.networks import with_outputs


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the network's weights."""
    return next(network.parameters()).device


def make_repeatable() -> None:
    """Forbid GPUs to choose kernels by measured speed and to round fp32 to the 10 bits of TF32.

    The same input must always get the same answer, and fp32 is the reference that validates every other backend.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False


class TorchBackend(Backend):
    """The network as it was trained, on the device of its weights; takes slices of any size."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap ``network``, which is in evaluation mode."""
        self._network = with_outputs(network)

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return logits and features for N x 1 x size x size images."""
        with torch.inference_mode():
            return Outputs.of(self._network(images.to(device_of(self._network), memory_format=torch.channels_last)))


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return N x classes logits on the CPU, in double precision."""
    with torch.inference_mode():
        answer: torch.Tensor = network(images.to(device_of(network), memory_format=torch.channels_last))
    return answer.double().cpu()
