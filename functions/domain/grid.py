"""Reads the Grid of a ``prediction/2`` document: where each class's logit comes from, over the prepared slice."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_VALUES = 32_768
ENCODING = "float16-le-base64"
BYTES = 2  # of a value
LONGEST_SIDE = 4096  # of a network's input, pixels
MOST_HU = 1e6


@dataclass(frozen=True, kw_only=True)
class Over:
    """What a grid lies over: a square of ``side`` pixels, the network's input, and where in it the slice is.

    The stored array is turned (rows and columns exchanged first, then reversed), shown in the window (HU), and resized
    to ``rows`` x ``columns``.
    """

    exchange: bool
    reverse_rows: bool
    reverse_columns: bool
    top: int
    left: int
    rows: int
    columns: int
    side: int
    level_hu: float
    width_hu: float

    def as_dict(self) -> dict[str, Any]:
        """Return the field Over."""
        return {name: getattr(self, field) for name, field in _OVER.items()}


_OVER = {
    "Exchange": "exchange",
    "ReverseRows": "reverse_rows",
    "ReverseColumns": "reverse_columns",
    "Top": "top",
    "Left": "left",
    "Rows": "rows",
    "Columns": "columns",
    "Side": "side",
    "LevelHU": "level_hu",
    "WidthHU": "width_hu",
}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Values by class, row and column, in ``data``; classes are in the order of the document's Probabilities.

    ``over`` is None in answers of older containers.
    """

    classes: int
    rows: int
    columns: int
    data: bytes
    over: Over | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the field of the result document."""
        return {
            "Classes": self.classes,
            "Rows": self.rows,
            "Columns": self.columns,
            "Encoding": ENCODING,
            "Data": base64.b64encode(self.data).decode(),
            **({"Over": self.over.as_dict()} if self.over else {}),
        }

    def values(self, number: int) -> list[list[float]]:
        """Return the rows of a class, by its number from 0."""
        size = self.rows * self.columns
        flat = struct.unpack_from(f"<{size}e", self.data, number * size * BYTES)
        return [list(flat[at : at + self.columns]) for at in range(0, size, self.columns)]


def parse(fields: Mapping[str, Any], classes: int) -> Grid:
    """Return the grid of so many classes; raises ValueError, KeyError or TypeError for anything else."""
    shape = [fields["Classes"], fields["Rows"], fields["Columns"]]
    if any(type(one) is not int or one < 1 for one in shape) or shape[0] != classes:
        raise ValueError("its Grid has not the shape of its classes")
    values = math.prod(shape)
    if values > MOST_VALUES:
        raise ValueError(f"its Grid has more than {MOST_VALUES:,} values")
    if fields["Encoding"] != ENCODING:
        raise ValueError(f"its Grid is not in {ENCODING}")
    try:
        data = base64.b64decode(fields["Data"], validate=True)
    except binascii.Error as error:
        raise ValueError("its Grid is not base64") from error
    if len(data) != values * BYTES:
        raise ValueError("its Grid has another number of values than it says")
    if not all(map(math.isfinite, struct.unpack(f"<{values}e", data))):
        raise ValueError("its Grid has values that are no numbers")
    over = _over(fields["Over"]) if "Over" in fields else None
    return Grid(classes=shape[0], rows=shape[1], columns=shape[2], data=data, over=over)


def _over(fields: Mapping[str, Any]) -> Over:
    """Return what a grid lies over; raises as ``parse`` does unless the slice is inside of the square."""
    found = Over(**{field: fields[name] for name, field in _OVER.items()})
    turns = (found.exchange, found.reverse_rows, found.reverse_columns)
    places = (found.top, found.left, found.rows, found.columns, found.side)
    window = (found.level_hu, found.width_hu)
    if any(type(one) is not bool for one in turns) or any(type(one) is not int for one in places):
        raise ValueError("its Grid is over a turn or a place of another type")
    if min(found.top, found.left) < 0 or min(found.rows, found.columns) < 1:
        raise ValueError("its Grid is over a place without pixels")
    if not max(found.top + found.rows, found.left + found.columns) <= found.side <= LONGEST_SIDE:
        raise ValueError(f"its Grid is over a place outside of its square of at most {LONGEST_SIDE} pixels")
    if any(isinstance(one, bool) or not isinstance(one, int | float) or not abs(one) <= MOST_HU for one in window):
        raise ValueError("its Grid is over a window that is no numbers")
    if found.width_hu <= 0:
        raise ValueError("its Grid is over a window without a width")
    return found
