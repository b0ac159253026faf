"""Lays one body over another and measures how alike they are: by rotation, scale and shift, in batches of pairs.

The likeness of a pair is a correlation of fine detail, since bodies in the same frame all look alike from afar. It is
given on Fisher's scale (atanh of the correlation), on which the values of strangers spread evenly.
"""

from __future__ import annotations

import torch
from torch.nn import functional

# Side and steps of each level of the search. The score is taken at the full side.
LEVELS = ((16, 6), (32, 4))
LARGEST_STEP, FARTHEST = 0.1, 0.35  # of ln(scale), of an angle in radians, and of half widths of the frame
DAMPING = 1e-2
# Detail finer than a Gaussian of this standard deviation (pixels of a likeness) is what is compared.
BLUR = 1.0
# What lies nearer than this (pixels) to the picture's edge has detail that the edge made.
MARGIN = 2
# Of the frame, that two bodies must share to be compared at all.
LEAST_SHARED = 0.25
MOST_ALIKE = 0.9999  # a correlation; Fisher's scale ends in infinity at 1


def registered(ours: torch.Tensor, theirs: torch.Tensor, covers: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the pose (pairs x 4: ln scale, angle, shift) by which ``theirs`` lies on ``ours`` (pairs x 1 x side²).

    Gauss-Newton on the correlation within what both pictures cover, from coarse to fine.
    """
    pose = torch.zeros(len(ours), 4)
    for side, steps in LEVELS:
        target, moving = (functional.adaptive_avg_pool2d(one, side) for one in (ours, theirs))
        ours_cover, theirs_cover = (functional.adaptive_avg_pool2d(one, side) for one in covers)
        for _ in range(steps):
            moved = posed(torch.cat([moving, theirs_cover], 1), pose)
            pose = _composed(pose, _step(target, moved[:, :1], ours_cover * moved[:, 1:]))
    return pose


def alike(
    ours: torch.Tensor, theirs: torch.Tensor, covers: tuple[torch.Tensor, torch.Tensor], pose: torch.Tensor
) -> torch.Tensor:
    """Return how alike pairs are in each channel, on Fisher's scale (pairs x 2); -inf where they share too little.

    ``covers`` (pairs x 1 x side²) are 1 where each shows something of its picture.
    """
    moved, cover = posed(theirs, pose), covers[0] * (posed(covers[1], pose) > 0.99)
    shared = cover.sum((2, 3))
    one, other = _detail(ours), _detail(moved)
    one, other = (cover * (each - (each * cover).sum((2, 3), True) / shared[..., None, None]) for each in (one, other))
    norms = one.square().sum((2, 3)) * other.square().sum((2, 3))
    found = (one * other).sum((2, 3)) / norms.sqrt().clamp_min(1e-6)
    return torch.where(
        shared >= LEAST_SHARED * cover[0].numel(), found.clamp(-MOST_ALIKE, MOST_ALIKE).atanh(), -torch.inf
    )


def posed(pictures: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Return the pictures, each rotated, scaled and shifted by its pose."""
    cosine, sine = _turn(pose)
    rows = torch.stack([cosine, -sine, pose[:, 2]], 1), torch.stack([sine, cosine, pose[:, 3]], 1)
    grid = functional.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _turn(pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = pose[:, 0].exp()
    return scale * pose[:, 1].cos(), scale * pose[:, 1].sin()


def _step(target: torch.Tensor, moved: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Return the Gauss-Newton step of the pose."""
    side = moved.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    across, down = axis.view(1, 1, 1, side), axis.view(1, 1, side, 1)
    right = functional.pad((moved[..., 2:] - moved[..., :-2]) * (side / 4), (1, 1))
    below = functional.pad((moved[..., 2:, :] - moved[..., :-2, :]) * (side / 4), (0, 0, 1, 1))
    weight = cover.flatten(1)
    total = weight.sum(1, keepdim=True).clamp_min(1e-6)

    def centred(values: torch.Tensor) -> torch.Tensor:
        return weight * (values - (weight * values).sum(1, keepdim=True) / total)

    wanted, flat = centred(target.flatten(1)), centred(moved.flatten(1))
    length = flat.norm(dim=1, keepdim=True).clamp_min(1e-6)
    wanted, flat = wanted / wanted.norm(dim=1, keepdim=True).clamp_min(1e-6), flat / length
    slopes = [right * across + below * down, below * across - right * down, right, below]
    slope = torch.stack([centred(one.flatten(1)) / length for one in slopes], -1)
    slope = slope - flat[..., None] * (flat[:, None] @ slope)
    square = slope.mT @ slope
    square = square + torch.diag_embed(DAMPING * square.diagonal(dim1=1, dim2=2) + 1e-6)
    step: torch.Tensor = torch.linalg.solve(square, slope.mT @ (wanted - flat)[..., None])
    return step[..., 0].clamp(-LARGEST_STEP, LARGEST_STEP)


def _composed(pose: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    cosine, sine = _turn(pose)
    shift = [cosine * step[:, 2] - sine * step[:, 3], sine * step[:, 2] + cosine * step[:, 3]]
    moved = torch.stack([step[:, 0], step[:, 1], *shift], 1)
    return (pose + moved).clamp(-FARTHEST, FARTHEST)


def _detail(pictures: torch.Tensor) -> torch.Tensor:
    """Return the pictures without what a Gaussian blur leaves of them."""
    reach = int(3 * BLUR + 0.5)
    weights = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * BLUR * BLUR))
    weights = weights / weights.sum()
    flat = pictures.flatten(0, 1)[:, None]
    blurred = functional.conv2d(flat, weights.view(1, 1, 1, -1), padding=(0, reach))
    blurred = functional.conv2d(blurred, weights.view(1, 1, -1, 1), padding=(reach, 0))
    return pictures - blurred.view(pictures.shape)
