"""Where each class's logit comes from, as the answer carries it: a coarse grid over the prepared slice.

A class's mean over the grid is its logit before the temperature. So the grid explains the score, not the disease. Each
position covers 32 pixels of the network's input in each direction.
"""

from __future__ import annotations

import base64
from typing import Any

import torch

from model_code.transforms import Placement, Preprocessing

MOST_VALUES = 32_768  # of one slice: three classes have 768 at 512 pixels
ENCODING = "float16-le-base64"


def as_dict(grid: torch.Tensor) -> dict[str, Any] | None:
    """Return the answer's Grid of one slice, from classes x rows x columns; classes are in the order of the model's.

    None where it is too large for an answer, or has a value that 16 bits do not hold.
    """
    values = grid.half()
    if values.numel() > MOST_VALUES or not values.isfinite().all():
        return None
    classes, rows, columns = values.shape
    data = base64.b64encode(values.contiguous().numpy().astype("<f2").tobytes()).decode()
    return {"Classes": classes, "Rows": rows, "Columns": columns, "Encoding": ENCODING, "Data": data}


def over(place: Placement, preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what the grid lies over: the slice as the network saw it, so that a picture of both can be drawn.

    The stored array is turned (rows and columns exchanged first, then reversed), shown in the window, and resized to
    Rows x Columns at Top and Left of a square of Side pixels.
    """
    return {
        "Exchange": place.turn.exchange,
        "ReverseRows": place.turn.reverse_rows,
        "ReverseColumns": place.turn.reverse_columns,
        "Top": place.top,
        "Left": place.left,
        "Rows": place.rows,
        "Columns": place.columns,
        "Side": preprocessing.image_size,
        "LevelHU": preprocessing.window_level_hu,
        "WidthHU": preprocessing.window_width_hu,
    }
