"""Measures what lies around the body: air, table, mask, and how much of the picture the body fills.

None of it shows a disease; but one hospital's export masks the table, another's crops to the body.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from model_code.audit.confounding import Tags
from model_code.audit.likeness import TISSUE_HU
from model_code.reading.hounsfield import HounsfieldArray

KEYWORDS = ("BodyShare", "BackgroundHU", "BackgroundNoise", "BackgroundConstant", "TableShare", "CornerHU")
# Nearer to the body, a pixel may be of its skin.
CLEARANCE = 2  # pixels of the mask


def read_background(hounsfield: HounsfieldArray, body: torch.Tensor) -> Tags:
    """Return figures of a slice's background, empty if the body leaves none.

    BodyShare, TableShare and BackgroundConstant (pixels of the most frequent value) are shares of the picture or the
    background; the others are medians and half of the middle 68 %, in HU.
    """
    tags: dict[str, str | float] = {"BodyShare": round(float(body.mean()), 2)}
    near = functional.max_pool2d(body[None, None], 2 * CLEARANCE + 1, 1, CLEARANCE)
    inside = functional.interpolate(near, size=hounsfield.shape, mode="nearest")[0, 0].numpy() > 0
    outside = hounsfield[~inside]
    if outside.size:
        low, middle, high = np.percentile(outside, (16, 50, 84))
        values, counts = np.unique(outside, return_counts=True)
        tags |= {
            "BackgroundHU": _rounded(middle),
            "BackgroundNoise": _rounded((high - low) / 2),
            "BackgroundConstant": round(float(counts.max() / outside.size), 1) if values.size else 0.0,
            "TableShare": round(float((outside > TISSUE_HU).mean()), 2),
        }
    corners = hounsfield[[0, 0, -1, -1], [0, -1, 0, -1]]
    return tags | {"CornerHU": _rounded(float(np.median(corners)))}


def _rounded(value: float) -> float:
    return float(round(float(value) / 5) * 5)
