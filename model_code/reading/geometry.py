"""How a slice lies in its array: the way to the patient's axes, and the shape of its pixels.

The axes of a picture that is shown as radiologists see it: columns to the patient's left and rows to the back (axial),
to the left and to the feet (coronal), or to the back and to the feet (sagittal). DICOM PS3.3 C.7.6.2.1.1 has the
coordinates: x to the left, y to the back, z to the head.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_code.reading.elements import Elements
from model_code.reading.hounsfield import decimal
from untrusted import picture

X, Y, Z = range(3)
# By the axis on which the slice's normal lies nearest: the axes of rising column and row numbers, and their directions.
STANDARD = {Z: ((X, 1), (Y, 1)), Y: ((X, 1), (Z, -1)), X: ((Y, 1), (Z, -1))}
# Headers round spacings. Pixels of a CT that are more uneven than MOST_UNEVEN are a mistake in the header.
AS_SQUARE, MOST_UNEVEN = 0.01, 10.0
WHOLE = re.compile(r"\+?[0-9]{1,12}")


@dataclass(frozen=True)
class Turn:
    """The way from the stored array to the patient's axes: rows and columns are exchanged first, then reversed."""

    exchange: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False

    def __bool__(self) -> bool:
        """Return whether it changes anything."""
        return self.exchange or self.reverse_rows or self.reverse_columns

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows x columns ``array`` in the patient's axes, contiguous."""
        turned = array.T if self.exchange else array
        if self.reverse_rows:
            turned = turned[::-1]
        if self.reverse_columns:
            turned = turned[:, ::-1]
        return np.ascontiguousarray(turned)


def turn_of(elements: Elements) -> Turn | None:
    """Return the turn that ImageOrientationPatient, or PatientOrientation, asks for; None if neither is valid.

    A slice that is tilted against the patient's axes is turned to the nearest ones.
    """
    directions = picture.orientation(elements.header)
    if directions is None:
        return None
    along_row, along_column = map(np.array, directions)
    normal = int(np.abs(np.cross(along_row, along_column)).argmax())
    (across, right), (down, below) = STANDARD[normal]
    straight = abs(along_row[across]) + abs(along_column[down])
    crossed = abs(along_row[down]) + abs(along_column[across])
    exchange = bool(crossed > straight)
    if exchange:
        along_row, along_column = along_column, along_row
    return Turn(exchange, bool(along_column[down] * below < 0), bool(along_row[across] * right < 0))


def pixel_height(elements: Elements) -> float | None:
    """Return the height of a stored pixel in widths, exactly 1 for a square one; None if no valid value says it.

    PixelSpacing says it, else PixelAspectRatio. Both have the vertical number first.
    """
    for keyword, read in (("PixelSpacing", decimal), ("PixelAspectRatio", _whole)):
        pair = _pair(elements.text(keyword), read)
        if pair is None or min(pair) <= 0:
            continue
        height = pair[0] / pair[1]
        if 1 / MOST_UNEVEN <= height <= MOST_UNEVEN:
            return 1.0 if abs(height - 1) <= AS_SQUARE else height
    return None


def _pair(text: str, read: Callable[[str], float]) -> tuple[float, float] | None:
    """Return a text of two numbers as these, None if it is anything else."""
    values = [read(part.strip()) for part in text.split("\\")]
    return (values[0], values[1]) if len(values) == 2 and all(map(math.isfinite, values)) else None


def _whole(text: str) -> float:
    """Return an integer string (DICOM PS3.5 section 6.2) as a number, NaN if it is not one."""
    return float(text) if WHOLE.fullmatch(text) else math.nan
