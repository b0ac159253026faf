"""The bootstrap: draws patients for each resample, and computes a figure's interval over the resamples.

Whole patients are drawn, because slices of one patient are not independent evidence. They are drawn within each class,
so that no class is missing from a resample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
COVERAGE = 0.95
DECIMALS = 4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval; None if undefined."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the figure as evaluation/1 has it."""
        return {"Value": self.value, "Low": self.low, "High": self.high}


@dataclass(frozen=True)
class Resamples:
    """``weights``: (1 + resamples) x units, how often each unit is drawn; the first row is the sample, all 1.

    ``unit_of`` gives each slice's unit: its patient or, unless ``drawn_by_patient``, the slice itself.
    """

    weights: Floats
    unit_of: Ints

    @classmethod
    def drawn(cls, targets: Ints, patients: Ints, seed: int) -> Resamples:
        """Draw RESAMPLES times from the patients of each class; arguments: class and patient of each slice, from 0.

        Equal arguments give equal resamples.
        """
        units, strata = units_of(targets, patients)
        rng = np.random.default_rng(seed)
        weights = np.ones((1 + RESAMPLES, len(strata)))
        for one in np.unique(strata):
            members = np.flatnonzero(strata == one)
            weights[1:, members] = rng.multinomial(len(members), [1 / len(members)] * len(members), RESAMPLES)
        return cls(weights, units)


def units_of(targets: Ints, patients: Ints) -> tuple[Ints, Ints]:
    """Return the unit of each slice (its patient, or itself unless ``drawn_by_patient``), and each unit's class."""
    if drawn_by_patient(targets, patients):
        return patients, _class_of(patients, targets)
    return np.arange(len(targets)), targets


def drawn_by_patient(targets: Ints, patients: Ints) -> bool:
    """Return whether patients are drawn: each class that occurs has at least two patients.

    A single patient of a class leaves nothing to draw. Then slices are drawn, and the intervals say nothing about other
    patients.
    """
    sizes = np.bincount(_class_of(patients, targets), minlength=int(targets.max()) + 1)
    return bool((sizes[np.unique(targets)] >= 2).all())


def figure(values: Floats) -> Figure:
    """Return the figure for ``values`` computed from ``Resamples.weights``; NaN means undefined.

    A resample in which it is undefined is left out.
    """
    value, resampled = values[0], values[1:][~np.isnan(values[1:])]
    if np.isnan(value):
        return Figure(None, None, None)
    if not len(resampled):
        return Figure(rounded(value), None, None)
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Figure(rounded(value), rounded(low), rounded(high))


def _class_of(patients: Ints, targets: Ints) -> Ints:
    """Return the class of most of each patient's slices; the first if equally many."""
    counts = np.zeros((int(patients.max(initial=-1)) + 1, int(targets.max(initial=0)) + 1))
    np.add.at(counts, (patients, targets), 1)
    classes: Ints = counts.argmax(axis=1)
    return classes


def rounded(value: Any) -> float:
    """Return a figure as documents have it."""
    return round(float(value), DECIMALS)
