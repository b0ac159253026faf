"""One slice as another export of it would have it: mirrored, rotated, cropped, in another window, masked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from model_code.audit.likeness import body_of
from model_code.reading.hounsfield import AIR, HounsfieldArray

Change = Callable[[HounsfieldArray], HounsfieldArray]


def rotated(hounsfield: HounsfieldArray, degrees: float) -> HounsfieldArray:
    """Return the slice rotated about its middle, air at the corners."""
    angle = np.deg2rad(degrees)
    rows = [[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0]]
    shape = [1, 1, *hounsfield.shape]
    grid = functional.affine_grid(torch.tensor([rows], dtype=torch.float32), shape, align_corners=False)
    above = torch.from_numpy(np.ascontiguousarray(hounsfield - np.float32(AIR)))[None, None]
    return functional.grid_sample(above, grid, align_corners=False)[0, 0].numpy() + np.float32(AIR)


def cropped(hounsfield: HounsfieldArray, share: float) -> HounsfieldArray:
    """Return the slice without this share of its rows and columns at each side."""
    rows, columns = (round(size * share) for size in hounsfield.shape)
    return hounsfield[rows:-rows, columns:-columns]


def windowed(hounsfield: HounsfieldArray, centre: float, width: float) -> HounsfieldArray:
    """Return what an export of 8 bits in this window has left, in HU."""
    low = centre - width / 2
    share = (np.clip(hounsfield, low, low + width) - low) / width
    return (np.round(share * 255) / 255 * width + low).astype(np.float32)


def masked(hounsfield: HounsfieldArray, value: float) -> HounsfieldArray:
    """Return the slice with one value all around the body."""
    body = body_of(hounsfield)
    if body is None:
        return hounsfield
    inside = functional.interpolate(body[None, None], size=hounsfield.shape, mode="nearest")[0, 0].numpy() > 0
    return np.where(inside, hounsfield, np.float32(value))


CHANGES: dict[str, Change] = {
    "mirrored": lambda one: one[:, ::-1],
    "upside down": lambda one: one[::-1],
    "turned by 90": np.rot90,
    "rotated by 5": lambda one: rotated(one, 5),
    "rotated by -5": lambda one: rotated(one, -5),
    "cropped by 5 %": lambda one: cropped(one, 0.05),
    "soft window": lambda one: windowed(one, 40, 400),
    "narrow soft window": lambda one: windowed(one, 50, 350),
    "lung window": lambda one: windowed(one, -600, 1200),
    "background masked by air": lambda one: masked(one, AIR),
    "background masked by 0": lambda one: masked(one, 0),
    "all of it": lambda one: windowed(cropped(rotated(one[:, ::-1], 5), 0.05), 40, 400),
}
