"""Brings the body of a slice into a common frame, as a small picture that another export of the slice gives too.

The frame follows the body: its centre, its longer axis and its area. So neither the table, the field of view, the
matrix, a rotation nor what lies outside the body changes the picture much. Two windows are kept apart, because an
export in one window has nothing of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from model_code.reading.hounsfield import HounsfieldArray

SIDE = 64
"""Rows and columns of a likeness; for an adult's chest a pixel is about 6 mm."""
# The channels, in HU: what separates fat from muscle, and what separates lung from air.
SOFT, LUNG = (-160.0, 200.0), (-1000.0, -160.0)
# The body is found at this resolution. Gaps of so many pixels are closed where the body grows by LEAK, and what is not
# thicker than twice TABLE is cut off.
MASK_SIDE, GAP, LEAK, TABLE = 64, 1, 1.15, 2
TISSUE_HU = -300.0
# In a slice without air the window cut it off. Air then has the lowest value to the last pixel, fat often has it too;
# so less of a pixel of the mask needs to be tissue.
NO_AIR_HU = -500.0
TISSUE_SHARE, TISSUE_SHARE_WITHOUT_AIR = 0.3, 0.1
# The frame's half width, in radii of a circle with the body's area: an ellipse twice as wide as high fits into it.
HALF_WIDTH = 1.45
SMALLEST_BODY = 0.02  # of the picture
FINER = 4  # times SIDE: how finely the picture is sampled
STEPS = 8  # of a flood fill between two looks at whether it has ended
_MOST_COMMON = 0.5  # of the edge's pixels with one value: what lies around the picture, whatever the value is


@dataclass(frozen=True)
class Likeness:
    """A body in its own frame.

    ``picture`` is 2 x SIDE x SIDE: the windows SOFT and LUNG, 0 outside the body. ``frame`` (2 x 3) leads from the
    frame's coordinates to the picture's, both from -1 to 1. ``limits`` (2 x 2) are the lowest and the highest value
    of the slice in each window, from 0 to 1: an export in a narrower window has cut off what lies beyond.
    """

    picture: npt.NDArray[np.uint8]
    frame: npt.NDArray[np.float32]
    limits: npt.NDArray[np.float32]


def likeness(hounsfield: HounsfieldArray) -> Likeness | None:
    """Return the likeness of a slice, None if it shows no body."""
    body = body_of(hounsfield)
    return None if body is None else framed(hounsfield, body)


def body_of(hounsfield: HounsfieldArray) -> torch.Tensor | None:
    """Return where the body is, MASK_SIDE x MASK_SIDE over the whole picture, 1 inside and 0 outside; None without one.

    It is the largest piece of tissue, with its holes filled.
    """
    return _body(_without_surround(hounsfield))


def framed(hounsfield: HounsfieldArray, body: torch.Tensor) -> Likeness:
    """Return the likeness of a slice whose body is known."""
    units = _without_surround(hounsfield)
    frame = _frame(body)
    # With a margin of a pixel of the mask, so that the skin is where the picture has it, not where the mask ends.
    around = _dilated(body[None, None], 1)
    inside = functional.interpolate(around, size=units.shape, mode="bilinear", align_corners=False) > 0.5
    hu = torch.from_numpy(units)
    windows = torch.cat([(hu.clip(low, high) - low) / (high - low) * inside for low, high in (SOFT, LUNG)], 1)
    # Sampled finely, and then averaged: so no pixel is left out, and the frame's exact place matters little.
    side = SIDE * FINER
    shrink = max(1, round(max(units.shape) * float(frame[:, 0].norm()) / side))
    if shrink > 1:
        windows = functional.avg_pool2d(windows, shrink)
    grid = functional.affine_grid(frame[None], [1, 2, side, side], align_corners=False)
    sampled = functional.avg_pool2d(functional.grid_sample(windows, grid, align_corners=False), FINER)[0]
    ends = np.array([units.min(), units.max()], np.float32)
    limits = np.stack([(ends.clip(low, high) - low) / (high - low) for low, high in (SOFT, LUNG)])
    return Likeness((sampled * 255).round().to(torch.uint8).numpy(), frame.numpy(), limits.astype(np.float32))


def _without_surround(hounsfield: HounsfieldArray) -> HounsfieldArray:
    """Return the slice with the constant value around it, of a mask or of padding, as its lowest value."""
    units = np.ascontiguousarray(hounsfield, np.float32)
    edge = np.concatenate([units[0], units[-1], units[:, 0], units[:, -1]])
    values, counts = np.unique(edge, return_counts=True)
    most, lowest = values[counts.argmax()], units.min()
    if counts.max() <= _MOST_COMMON * len(edge) or most <= lowest:
        return units
    return np.where(units == most, lowest, units).astype(np.float32)


def _body(units: HounsfieldArray) -> torch.Tensor | None:
    lowest = float(units.min())
    threshold, least = (TISSUE_HU, TISSUE_SHARE) if lowest < NO_AIR_HU else (lowest, TISSUE_SHARE_WITHOUT_AIR)
    tissue = torch.from_numpy((units > threshold).astype(np.float32))[None, None]
    tissue = (functional.adaptive_avg_pool2d(tissue, MASK_SIDE) > least).float()
    body = _filled(tissue)
    # A thin chest wall may have gaps, through which the lungs are not filled. Closing them everywhere would join the
    # table to the back.
    closed = _filled(_eroded(_dilated(tissue, GAP), GAP))
    if body is None or (closed is not None and float(closed.sum()) > LEAK * float(body.sum())):
        body = closed
    return body if body is not None and float(body.mean()) >= SMALLEST_BODY else None


def _filled(tissue: torch.Tensor) -> torch.Tensor | None:
    """Return the largest piece of tissue with its holes filled and without thin things, such as a table."""
    wall = _largest(tissue)
    if wall is None:
        return None
    outside = functional.pad(torch.zeros_like(wall), (1, 1, 1, 1), value=1.0)
    outside = _flooded(outside, functional.pad(1 - wall, (1, 1, 1, 1), value=1.0))
    filled = 1 - outside[..., 1:-1, 1:-1]
    core = _largest(_eroded(filled, TABLE))
    return None if core is None else (_dilated(core, TABLE) * filled)[0, 0]


def _dilated(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    return functional.max_pool2d(mask, 2 * pixels + 1, 1, pixels)


def _eroded(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    """Return the mask without its edge; what the picture's edge cuts has none there."""
    return -_dilated(-mask, pixels)


def _largest(pieces: torch.Tensor) -> torch.Tensor | None:
    numbers = torch.arange(1, pieces.numel() + 1, dtype=torch.float32).view(pieces.shape)
    numbers = _flooded(numbers * pieces, pieces)
    sizes = torch.bincount(numbers.long().ravel())
    sizes[0] = 0
    return (numbers == sizes.argmax()).float() if int(sizes.max()) else None


def _flooded(start: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return ``start`` with its largest values spread over each connected piece of ``where``."""
    flooded = start
    while True:
        before = flooded
        for _ in range(STEPS):
            flooded = functional.max_pool2d(flooded, 3, 1, 1) * where
        if torch.equal(flooded, before):
            return flooded


def _frame(body: torch.Tensor) -> torch.Tensor:
    """Return the frame (2 x 3) around the body's centre, by its area."""
    axis = (torch.arange(MASK_SIDE) + 0.5) / MASK_SIDE * 2 - 1
    share = body / body.sum()
    x, y = share.sum(0) @ axis, share.sum(1) @ axis
    size, none = HALF_WIDTH * (4 * body.mean() / math.pi).sqrt(), torch.zeros(())
    return torch.stack([torch.stack([size, none, x]), torch.stack([none, size, y])])
