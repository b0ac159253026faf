"""Where an object is in its series: numbers, and the position along the normal of its plane."""

from __future__ import annotations

from dataclasses import dataclass

from untrusted.header import Header
from untrusted.position import position


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
        slice_position=position(header),
        quality_control=header.code("QualityControlImage") == "YES" or None,
    )
