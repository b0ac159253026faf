"""Random changes of pose for training: a whole batch in one resampling, on the device of the batch.

The poses are drawn separately, on the processor, so the same draw gives the same slices on any device and any number of
threads.
"""

from __future__ import annotations

import torch
from torch.nn import functional

# Small changes of pose; the angle is in radians. No patient lies in a scanner at larger ones.
ROTATION_RADIANS, SCALE_FRACTION, SHIFT_FRACTION = 0.15, 0.1, 0.05
FLIPPED, MOVED = 0.5, 0.8
"""The probability that left and right are exchanged, and that a slice is rotated, scaled and shifted."""


def drawn(slices: int, draw: torch.Generator) -> torch.Tensor:
    """Return random poses for ``slices`` slices, as ``matrices`` makes them."""
    chosen = torch.rand(slices, 7, generator=draw)
    moved = (chosen[:, 0] < MOVED).float()[:, None]
    signed = (2 * chosen[:, 2:] - 1) * moved
    return matrices(
        chosen[:, 1] < FLIPPED,
        radians=signed[:, 0] * ROTATION_RADIANS,
        scales=1 + signed[:, 1:3] * SCALE_FRACTION,
        shifts=signed[:, 3:5] * SHIFT_FRACTION,
    )


def matrices(flipped: torch.Tensor, radians: torch.Tensor, scales: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Return where each pixel of a changed slice is taken from: N x 2 x 3, in the coordinates of ``affine_grid``.

    The arguments for N slices: whether to reverse the columns first; the angle; the factors of rows and columns; the
    shifts of rows and columns as fractions of the side. They have the meaning of MONAI's RandAffine.
    """
    cosine, sine = radians.cos(), radians.sin()
    row_scale, column_scale = scales.unbind(1)
    row_shift, column_shift = (2 * shifts).unbind(1)  # affine_grid's side is 2 long
    mirror = 1 - 2 * flipped.float()
    from_column = [cosine * column_scale, sine * row_scale, sine * row_shift + cosine * column_shift]
    from_row = [-sine * column_scale, cosine * row_scale, cosine * row_shift - sine * column_shift]
    return torch.stack([torch.stack([mirror * one for one in from_column], 1), torch.stack(from_row, 1)], 1)


def apply(images: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """Return N x 1 x size x size images with their ``poses`` applied; the outside of a slice is air."""
    grid = functional.affine_grid(poses.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
