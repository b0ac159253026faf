"""The bootstrap: which patients each resample draws, and the interval that a figure takes over all of them.

Whole patients are drawn, because slices of one patient are not independent evidence; within each class, so that no
class vanishes from a resample.
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
    """A measured value with its 95 % interval; None for what is undefined."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """The figure as it stands in evaluation/1."""
        return {"Value": self.value, "Low": self.low, "High": self.high}


@dataclass(frozen=True)
class Resamples:
    """``weights``: (1 + resamples) x units, how often each unit is drawn; the first row is the sample itself, all 1.

    ``unit_of`` gives each slice's unit: its patient or, where ``drawn_by_patient`` says so, the slice itself.
    """

    weights: Floats
    unit_of: Ints

    @classmethod
    def drawn(cls, targets: Ints, patients: Ints, seed: int) -> Resamples:
        """Draw RESAMPLES times from the patients (each slice's, numbered from 0) of each class (of each slice).

        The same arguments give the same resamples.
        """
        by_patient = drawn_by_patient(targets, patients)
        units = patients if by_patient else np.arange(len(targets))
        strata = _class_of(patients, targets) if by_patient else targets
        rng = np.random.default_rng(seed)
        weights = np.ones((1 + RESAMPLES, len(strata)))
        for one in np.unique(strata):
            members = np.flatnonzero(strata == one)
            weights[1:, members] = rng.multinomial(len(members), [1 / len(members)] * len(members), RESAMPLES)
        return cls(weights, units)


def drawn_by_patient(targets: Ints, patients: Ints) -> bool:
    """Whether patients are drawn: each class that occurs is that of two patients at least.

    With a single patient of a class there is nothing to draw between. Then single slices are drawn, and the intervals
    say nothing about another patient.
    """
    sizes = np.bincount(_class_of(patients, targets), minlength=int(targets.max()) + 1)
    return bool((sizes[np.unique(targets)] >= 2).all())


def figure(values: Floats) -> Figure:
    """The figure whose ``values`` were computed from ``Resamples.weights``: NaN where it is undefined.

    A resample in which it is undefined says nothing and is left out.
    """
    value, resampled = values[0], values[1:][~np.isnan(values[1:])]
    if np.isnan(value):
        return Figure(None, None, None)
    if not len(resampled):
        return Figure(_rounded(value), None, None)
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Figure(_rounded(value), _rounded(low), _rounded(high))


def _class_of(patients: Ints, targets: Ints) -> Ints:
    """The class of most of each patient's slices; the first of equally many."""
    counts = np.zeros((int(patients.max(initial=-1)) + 1, int(targets.max(initial=0)) + 1))
    np.add.at(counts, (patients, targets), 1)
    classes: Ints = counts.argmax(axis=1)
    return classes


def _rounded(value: Any) -> float:
    return round(float(value), DECIMALS)
