"""Where a slice lies along the normal of its plane: the order of a series' slices, whatever their numbers say."""

from __future__ import annotations

from untrusted import picture
from untrusted.header import Header

MOST_MM = 100_000.0  # a scanner's table is shorter
DIGITS = 3  # of a position, in mm


def position(header: Header) -> float | None:
    """Return ImagePositionPatient on the normal of the slice, in mm; None unless position and orientation are valid."""
    parts = [one.strip() for one in header.text("ImagePositionPatient").split("\\")]
    directions = picture.orientation(header)
    if directions is None or len(parts) != 3 or not all(picture.DECIMAL.fullmatch(one) for one in parts):
        return None
    (a, b, c), (d, e, f) = directions
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    found = sum(float(part) * along for part, along in zip(parts, normal, strict=True))
    return round(found, DIGITS) + 0.0 if abs(found) <= MOST_MM else None
