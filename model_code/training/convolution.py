"""Convolutions that compute their weight gradients in the fast way for processors without AVX-512.

There oneDNN is slow at this alone: with channels-last pixels, the gradient of a 3 x 3 convolution's weights takes up to
four times as long as with channels-first pixels, and reordering them costs less than the difference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

Pair = tuple[int, int]


def quicken(network: nn.Module) -> None:
    """Replace the network's 3 x 3 convolutions by faster ones, which compute the same and have the same names."""
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and child.kernel_size == (3, 3):
                setattr(module, name, Convolution(child))


class Convolution(nn.Module):
    """A convolution with the weight of ``of``, which must have no bias, groups or dilation."""

    def __init__(self, of: nn.Conv2d) -> None:
        super().__init__()
        if of.bias is not None or of.groups != 1 or of.dilation != (1, 1) or isinstance(of.padding, str):
            raise ValueError(f"{of} has a bias, groups, dilation or a padding by name")
        self.weight = of.weight
        self._stride: Pair = (of.stride[0], of.stride[1])
        self._padding: Pair = (of.padding[0], of.padding[1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return what ``nn.Conv2d`` returns."""
        convolved: torch.Tensor = _Convolving.apply(images, self.weight, self._stride, self._padding)  # type: ignore[no-untyped-call]
        return convolved


class _Convolving(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(images, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None, None]:
        images, weight = ctx.saved_tensors
        (of_output,) = gradients
        of_images = _torchs(ctx, of_output, images, weight, 0) if ctx.needs_input_grad[0] else None
        of_weight = _torchs(ctx, of_output.contiguous(), images.contiguous(), weight.contiguous(), 1)
        return of_images, of_weight, None, None


def _torchs(ctx: Any, of_output: torch.Tensor, images: torch.Tensor, weight: torch.Tensor, by: int) -> torch.Tensor:
    """Return torch's gradient by the images (0) or the weight (1); the memory format decides how it is computed."""
    wanted = [by == 0, by == 1, False]
    gradients: list[torch.Tensor] = torch.ops.aten.convolution_backward(
        of_output, images, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, wanted
    )
    return gradients[by]
