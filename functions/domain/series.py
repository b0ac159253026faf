"""Which slices of a series count for a study read: the stage's rule, by what a row says of its picture."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from functions.domain.ranges import OneOf, Range
from functions.domain.row import Row


class Excluded(enum.StrEnum):
    """Why a slice that was read does not count."""

    LOCALIZER = "Localizer"
    DERIVED = "Derived"
    REFORMAT = "Reformat"
    PROJECTION = "Projection"
    QUALITY_CONTROL = "QualityControl"
    FEW_SLICES = "FewSlices"
    DUPLICATE = "Duplicate"


QUALITY_CONTROL = "quality_control"
OF_PICTURE_TYPES = {
    "localizer": Excluded.LOCALIZER,
    "derived": Excluded.DERIVED,
    "reformat": Excluded.REFORMAT,
    "projection": Excluded.PROJECTION,
}
EXCLUDABLE = (*OF_PICTURE_TYPES, QUALITY_CONTROL)


@dataclass(frozen=True, kw_only=True)
class SeriesRule:
    """The stage's rule: kinds of pictures that do not count, and the fewest slices of a series that does.

    The excluded slices are read and have their answers, as all others.
    """

    series_exclude: Annotated[tuple[str, ...], OneOf(*EXCLUDABLE)] = EXCLUDABLE
    series_min_slices: Annotated[int, Range(1, 1000)] = 1

    def excludes(self, row: Row) -> Excluded | None:
        """Return why a row's picture does not count, by itself; None if it does."""
        if row.picture_type in self.series_exclude:
            return OF_PICTURE_TYPES.get(row.picture_type or "")
        if row.quality_control and QUALITY_CONTROL in self.series_exclude:
            return Excluded.QUALITY_CONTROL
        return None
