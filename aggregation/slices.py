"""What a study's answer is made of: the slices, and what one class looks like over the slices of a series."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

DECIMALS = 12  # of a slice's probability, as rows have it
POSITION_DECIMALS = 3  # of a millimetre
HIGH = 0.5  # from this probability on, a slice shows a class


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One read slice that counts: its calibrated probabilities by class, and where it lies.

    ``series`` is its SeriesInstanceUID. ``position`` is in mm along the normal of the slices, None where it is not
    known. ``upload_id`` is unique. ``abstained``: its model gave it no class.
    """

    upload_id: str
    series: str
    probabilities: Mapping[str, float]
    position: float | None = None
    abstained: bool = False

    def probability(self, label: str) -> float:
        """Return the probability of a class as rows have it; 0 for a class that the slice's model does not have."""
        return round(self.probabilities.get(label, 0.0), DECIMALS)


@dataclass(frozen=True)
class Numbers:
    """What the slices of one series say of one class; nothing in it depends on their order.

    ``max``, ``top_mean`` (of the k highest) and ``mean`` are probabilities, ``share`` is of the slices from HIGH on.
    ``run`` is the natural logarithm of 1 + the longest run of neighbouring positions from HIGH on, ``count`` that of
    the number of slices.
    """

    max: float
    top_mean: float
    mean: float
    share: float
    run: float
    count: float


NAMES = tuple(Numbers.__dataclass_fields__)


def numbers_of(slices: Sequence[Slice], label: str, k: int) -> Numbers:
    """Return what at least one slice of one series says of a class."""
    values = [one.probability(label) for one in slices]
    highest = heapq.nlargest(k, values)
    return Numbers(
        max=highest[0],
        top_mean=math.fsum(highest) / len(highest),
        mean=math.fsum(values) / len(values),
        share=sum(value >= HIGH for value in values) / len(values),
        run=math.log1p(_longest_run(slices, label)),
        count=math.log(len(values)),
    )


def highest(slices: Iterable[Slice], label: str, k: int) -> list[Slice]:
    """Return the k slices with the highest probability of a class, the highest first."""

    def order(one: Slice) -> tuple[float, bool, float, str]:
        return -one.probability(label), one.position is None, one.position or 0.0, one.upload_id

    return heapq.nsmallest(k, slices, key=order)


def _longest_run(slices: Sequence[Slice], label: str) -> int:
    """Return how many neighbouring positions have a slice from HIGH on; slices without a position are left out."""
    shows: dict[float, bool] = {}
    for one in slices:
        if one.position is not None:
            at = round(one.position, POSITION_DECIMALS)
            shows[at] = shows.get(at, False) or one.probability(label) >= HIGH
    runs = itertools.groupby(shows[at] for at in sorted(shows))
    return max((len(list(run)) for is_high, run in runs if is_high), default=0)
