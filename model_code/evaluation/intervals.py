"""Computes 95 % intervals that cover at small numbers of patients; the percentiles of a bootstrap do not.

The unit is the patient, drawn within its class. A variance that few patients give is unstable, and 0 where all are
alike, so each is stabilised by a few imaginary patients, as many as there are classes.

- Sensitivity, specificity, balanced accuracy: Clopper and Pearson's interval with the effective sample size, which
  Korn and Graubard (Survey Methodology 24, 1998) propose for clustered data.
- AUC: Student's t on the logit scale, with the variance of patients' placements (DeLong 1988, Obuchowski 1997).
- Difference of two models on the same patients: Student's t on patients' differences, stratified by class.

``python -m assurance.gates`` measures how often they cover.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit  # type: ignore[import-untyped]

from model_code.evaluation.bootstrap import COVERAGE, Figure, Floats, Ints, rounded

TAIL = (1 - COVERAGE) / 2
# Of a class's patients: the share of all pairs with one patient that is taken as misordered, where none is seen to be.
MISORDERED = 0.05
# The variance of a patient's placement, as a share of the greatest possible one, for the imaginary patients.
PLACEMENT_SPREAD = 0.3

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clusters:
    """Units of evidence: the unit of each slice (its patient, as a rule), and the stratum (class) of each unit."""

    unit_of: Ints
    strata: Ints

    @property
    def spare(self) -> int:
        """Units less strata: the degrees of freedom."""
        return len(self.strata) - len(np.unique(self.strata))

    @property
    def few(self) -> bool:
        """Whether a stratum has a single unit, from which no variance can be computed."""
        return bool(np.unique(self.strata, return_counts=True)[1].min(initial=2) < 2)

    def means(self, values: Floats) -> Floats:
        """Return the mean of the values of each unit's slices."""
        sums, counts = (np.bincount(self.unit_of, one, len(self.strata)) for one in (values, np.ones_like(values)))
        means: Floats = sums / counts
        return means

    def only(self, rows: Rows) -> Clusters:
        """Return the clusters of some of the slices."""
        units, unit_of = np.unique(self.unit_of[rows], return_inverse=True)
        return Clusters(unit_of, self.strata[units])


def design_effect(right: Floats, clusters: Clusters) -> float:
    """Return how the slices of a unit repeat each other: from 0.1 or so (not at all) to 1 (they are one slice).

    It is the variance of the units' means within strata, as a share of that of units which are wholly right or wrong.
    """
    means = clusters.means(right)
    within = sum(((part - part.mean()) ** 2).sum() for part in _parts(means, clusters.strata))
    greatest = float(np.mean([part.mean() for part in _parts(means, clusters.strata)]))
    greatest *= 1 - greatest
    if not greatest or not clusters.spare:
        return 1.0
    fewest = len(clusters.strata) / len(right)
    return float(np.clip(within / clusters.spare / greatest, fewest, 1))


def proportion(right: Floats, clusters: Clusters, effect: float, spare: int) -> tuple[float, float]:
    """Return the interval of a share of slices, with the design effect and degrees of freedom of all classes."""
    return _clopper_pearson(float(right.mean()), len(clusters.strata) / effect, spare)


def mean_of_strata(right: Floats, clusters: Clusters) -> tuple[float, float]:
    """Return the interval of the mean of the strata's shares of right slices: of the balanced accuracy."""
    parts = _parts(clusters.means(right), clusters.strata)
    value = float(np.mean([right[clusters.strata[clusters.unit_of] == one].mean() for one in _present(clusters)]))
    variance = sum(part.var(ddof=1) / len(part) for part in parts) / len(parts) ** 2
    greatest = value * (1 - value)
    variance = _stabilised(variance, greatest / len(clusters.strata), clusters)
    if not greatest:
        return _clopper_pearson(value, len(clusters.strata), clusters.spare)
    return _clopper_pearson(value, min(greatest / variance, len(right)), clusters.spare)


def area(value: float, scores: Floats, positive: Rows, clusters: Clusters) -> tuple[float, float]:
    """Return the interval of the area under the ROC curve."""
    ours, theirs = np.sort(scores[positive]), np.sort(scores[~positive])
    variance, patients = 0.0, len(clusters.strata)
    for rows, others, sign in ((positive, theirs, 1.0), (~positive, ours, -1.0)):
        low, high = (np.searchsorted(others, scores[rows], side) for side in ("left", "right"))
        placements = sign * (low + high) / (2 * len(others))
        of_part = clusters.only(rows)
        parts = _parts(of_part.means(placements), of_part.strata)
        if of_part.few:  # a patient with slices of several classes may be alone in its class here
            parts = [of_part.means(placements)]
        variance += sum(len(part) * float(part.var(ddof=1)) for part in parts) / len(of_part.strata) ** 2
        patients = min(patients, len(of_part.strata))
    edge = MISORDERED / patients
    centre = min(max(value, edge), 1 - edge)
    greatest = centre * (1 - centre)
    variance = (variance * (patients - 1) + PLACEMENT_SPREAD * greatest / patients) / patients
    logit = np.log(centre / (1 - centre))
    reach = -stdtrit(clusters.spare, TAIL) * np.sqrt(variance) / greatest
    low_end, high_end = (1 / (1 + np.exp(-(logit + one))) for one in (-reach, reach))
    return min(float(low_end), value), max(float(high_end), value)


def difference(candidate: Floats, champion: Floats, clusters: Clusters) -> Figure:
    """Return the difference of two models' balanced accuracies, from whether each slice is right, with its interval."""
    differences = clusters.means(candidate - champion)
    parts = _parts(differences, clusters.strata)
    of_slice = clusters.strata[clusters.unit_of]
    value = float(np.mean([(candidate - champion)[of_slice == one].mean() for one in _present(clusters)]))
    variance = sum(part.var(ddof=1) / len(part) for part in parts) / len(parts) ** 2
    # A patient's difference is between -1 and 1, so its square is not greater than itself. One more patient, on whom
    # the models differ wholly, keeps the interval of two models that never differed from having no width.
    greatest = (np.abs(differences).sum() + 1) / (len(differences) + 1)
    variance = _stabilised(variance, float(greatest) / len(differences), clusters)
    reach = float(-stdtrit(clusters.spare, TAIL) * np.sqrt(variance))
    return Figure(rounded(value), rounded(max(value - reach, -1.0)), rounded(min(value + reach, 1.0)))


def figure(value: float, ends: tuple[float, float]) -> Figure:
    """Return a figure with its interval, rounded."""
    return Figure(rounded(value), rounded(ends[0]), rounded(ends[1]))


def _stabilised(variance: float, greatest: float, clusters: Clusters) -> float:
    """Return the variance of a mean with imaginary patients, one for each stratum, of the greatest variance."""
    imaginary = len(_present(clusters))
    return (variance * clusters.spare + greatest * imaginary) / (clusters.spare + imaginary)


def _clopper_pearson(value: float, size: float, spare: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share of ``size`` cases, which need be no whole number."""
    size *= float((stdtrit(1e9, TAIL) / stdtrit(spare, TAIL)) ** 2)
    hits, misses = value * size, (1 - value) * size
    low = float(betaincinv(hits, misses + 1, TAIL)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - TAIL)) if misses > 0 else 1.0
    return low, high


def _present(clusters: Clusters) -> Ints:
    present: Ints = np.unique(clusters.strata)
    return present


def _parts(values: Floats, strata: Ints) -> list[Floats]:
    return [values[strata == one] for one in np.unique(strata)]
