"""Where an object is in its series: numbers, and the position along the normal of its plane."""

from __future__ import annotations

from dataclasses import dataclass

from untrusted import picture
from untrusted.header import Header

MOST_MM = 100_000.0  # a scanner's table is shorter
DIGITS = 3  # of a position, in mm


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the header says of an object's place; None where it says nothing valid.

    ``slice_position`` is in mm: ImagePositionPatient on the normal of ImageOrientationPatient. ``quality_control`` is
    True for a picture of a phantom or of material (QualityControlImage).
    """

    instance_number: int | None = None
    acquisition_number: int | None = None
    slice_position: float | None = None
    quality_control: bool | None = None


PLACELESS = Place()


def place_of(header: Header) -> Place:
    """Return the place that a header names."""
    return Place(
        instance_number=header.number("InstanceNumber"),
        acquisition_number=header.number("AcquisitionNumber"),
        slice_position=_position(header),
        quality_control=header.code("QualityControlImage") == "YES" or None,
    )


def _position(header: Header) -> float | None:
    """Return where the slice is along its normal, in mm; None unless position and orientation are valid."""
    parts = [one.strip() for one in header.text("ImagePositionPatient").split("\\")]
    directions = picture.orientation(header)
    if directions is None or len(parts) != 3 or not all(picture.DECIMAL.fullmatch(one) for one in parts):
        return None
    (a, b, c), (d, e, f) = directions
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    position = sum(float(part) * along for part, along in zip(parts, normal, strict=True))
    return round(position, DIGITS) + 0.0 if abs(position) <= MOST_MM else None
