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


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Values by class, row and column, in ``data``; classes are in the order of the document's Probabilities."""

    classes: int
    rows: int
    columns: int
    data: bytes

    def as_dict(self) -> dict[str, Any]:
        """Return the field of the result document."""
        return {
            "Classes": self.classes,
            "Rows": self.rows,
            "Columns": self.columns,
            "Encoding": ENCODING,
            "Data": base64.b64encode(self.data).decode(),
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
    return Grid(classes=shape[0], rows=shape[1], columns=shape[2], data=data)
