"""Computes 95 % intervals that cover at small numbers of patients; the percentiles of a bootstrap do not.

The unit is the patient, drawn within its class. Variances are linearised, since patients have unequal numbers of slices
(Korn and Graubard 1998), and many slices of one patient count as one: a class of patients with unequal numbers has as
many ``effective`` patients as equal ones with the same variance would be (Kish 1965). A variance that few patients give
is unstable, and 0 where all are alike, so each is stabilised by a few imaginary patients, as many as there are classes.

- Shares (sensitivity, specificity, accuracy, balanced accuracy): Clopper and Pearson's interval with the effective
  sample size, which Korn and Graubard (Survey Methodology 24, 1998) propose for clustered data.
- AUC: the same, with the variance of patients' placements (DeLong 1988, Obuchowski 1997), and near Jeffreys' interval
  (Brown, Cai and DasGupta 2001), because an AUC is no count.
- Difference of two models on the same patients: Student's t on patients' differences, stratified by class.

``python -m assurance.gates`` measures how often they cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit  # type: ignore[import-untyped]

from model_code.evaluation.bootstrap import COVERAGE, Figure, Floats, Ints, rounded

Rows = npt.NDArray[np.bool_]
Ends = tuple[float, float]

TAIL = (1 - COVERAGE) / 2
# Patients of a class below which no figure is given: one patient more or less moves it by a quarter or more.
FEWEST_PATIENTS = 4
# The standard deviation of the true balanced accuracies of models that are trained alike on other patients: assumed.
FOLD_SPREAD = 0.03
# The variance of a patient's placement, as a share of the greatest possible one, for the imaginary patients.
PLACEMENT_SPREAD = 0.5
# Of an AUC, which is no count: with 0 its interval would cover more than 99 %, with 0.5 less than 93 %.
CONTINUOUS = 0.4


UNDEFINED = Figure(None, None, None)
TOO_FEW = Figure(None, None, None, too_few=True)


@dataclass(frozen=True)
class Difference:
    """The difference of two models' balanced accuracies, with its interval, standard error and degrees of freedom."""

    figure: Figure
    standard_error: float | None = None
    spare: float | None = None


@dataclass(frozen=True)
class Clusters:
    """The patient of each slice, numbered from 0 without gaps, and the class (stratum) of each patient."""

    unit_of: Ints
    strata: Ints

    @cached_property
    def classes(self) -> list[Rows]:
        """For each class that occurs, which patients are of it."""
        return [self.strata == one for one in np.unique(self.strata)]

    @cached_property
    def slices(self) -> Ints:
        """The number of each patient's slices."""
        return np.bincount(self.unit_of, minlength=len(self.strata))

    @cached_property
    def effective(self) -> list[float]:
        """The number of each class's patients, as if all had equally many slices."""
        parts = [self.slices[units] for units in self.classes]
        return [float(part.sum() ** 2 / (part**2).sum()) for part in parts]

    @property
    def spare(self) -> float:
        """Effective patients less classes: the degrees of freedom, 1 at least."""
        return max(1.0, sum(self.effective) - len(self.effective))

    @property
    def fewest(self) -> int:
        """The number of patients of the rarest class."""
        return int(min(units.sum() for units in self.classes))

    def means(self, values: Floats) -> Floats:
        """Return the mean of the values of each patient's slices."""
        means: Floats = np.bincount(self.unit_of, values, len(self.strata)) / self.slices
        return means

    def moments(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the mean of each class's slices, and its variance over patients: 0 for a class of one patient."""
        means, slices = self.means(values), self.slices
        found = [_moments(means[units], slices[units]) for units in self.classes]
        return np.array([mean for mean, _ in found]), np.array([variance for _, variance in found])

    def only(self, rows: Rows) -> Clusters:
        """Return the clusters of some of the slices."""
        units, unit_of = np.unique(self.unit_of[rows], return_inverse=True)
        return Clusters(unit_of, self.strata[units])


def design_effect(right: Floats, clusters: Clusters) -> float:
    """Return how the slices of a patient repeat each other: from 0.1 or so (not at all) to 1 (they are one slice).

    It is the variance of the share over patients, as a share of that of patients who are wholly right or wrong, and
    stabilised by one such patient.
    """
    greatest = float(right.mean() * (1 - right.mean()))
    if not greatest:
        return 1.0
    effective = sum(clusters.effective)
    effect = float(np.clip(_of_all(right, clusters) * effective / greatest, effective / len(right), 1))
    return _stabilised(effect, 1.0, clusters.spare, 1)


def proportion(right: Floats, clusters: Clusters, effect: float, spare: float) -> Ends:
    """Return the interval of a share of slices, with the design effect and degrees of freedom of all classes."""
    return clopper_pearson(float(right.mean()), sum(clusters.effective) / effect, spare)


def mean_of_classes(right: Floats, clusters: Clusters) -> Figure:
    """Return the mean of the classes' shares of right slices, the balanced accuracy, with its interval."""
    shares, variances = clusters.moments(right)
    value = float(shares.mean())
    greatest = value * (1 - value) * _of_mean([1 / one for one in clusters.effective])
    if not greatest:
        return Figure.of(value, clopper_pearson(value, sum(clusters.effective), clusters.spare))
    variance = _stabilised(_of_mean(variances), greatest, clusters.spare, len(shares))
    size = min(value * (1 - value) / variance, len(right))
    return Figure.of(value, clopper_pearson(value, size, clusters.spare))


def area(value: float, scores: Floats, positive: Rows, clusters: Clusters) -> Ends:
    """Return the interval of the area under the ROC curve."""
    ours, theirs = np.sort(scores[positive]), np.sort(scores[~positive])
    variance, effective = 0.0, []
    for rows, others in ((positive, theirs), (~positive, ours)):
        low, high = (np.searchsorted(others, scores[rows], side) for side in ("left", "right"))
        part = clusters.only(rows)
        if part.fewest < 2:  # a patient with slices of several classes may be alone in its class here
            part = Clusters(part.unit_of, np.zeros_like(part.strata))
        variance += _of_all((low + high) / (2 * len(others)), part)
        effective.append(sum(part.effective))
    size, greatest = sum(clusters.effective), value * (1 - value)
    if greatest:
        imaginary = PLACEMENT_SPREAD * greatest / min(effective)
        variance = _stabilised(variance, imaginary, clusters.spare, len(clusters.effective))
        size = min(greatest / variance, len(scores))
    return clopper_pearson(value, size, clusters.spare, CONTINUOUS)


def difference(candidate: Floats, champion: Floats, clusters: Clusters, folds: int = 0) -> Difference:
    """Return the difference of two models' balanced accuracies, from whether each slice is right.

    By ``folds`` each of the two is so many models, and the patients of a fold share one: the variance has FOLD_SPREAD.
    """
    value, variances = clusters.moments(candidate - champion)
    apart, _ = clusters.moments(np.abs(clusters.means(candidate - champion))[clusters.unit_of])
    effective = np.array(clusters.effective)
    # A patient's difference is between -1 and 1, so its square is not greater than itself. One more patient, on whom
    # the models differ wholly, keeps the interval of two models that never differed from having no width.
    greatest = float((effective @ apart + 1) / (effective.sum() + 1)) * _of_mean(1 / effective)
    variance = _stabilised(_of_mean(variances), greatest, clusters.spare, len(effective))
    variance += 2 * FOLD_SPREAD**2 / folds if folds else 0.0
    middle, error = float(value.mean()), float(np.sqrt(variance))
    reach = -float(stdtrit(clusters.spare, TAIL)) * error
    found = Figure.of(middle, (max(middle - reach, -1.0), min(middle + reach, 1.0)))
    return Difference(found, rounded(error), rounded(clusters.spare))


def clopper_pearson(value: float, size: float, spare: float, continuous: float = 0.0) -> Ends:
    """Return Clopper and Pearson's interval of a share of ``size`` cases, which need be no whole number.

    The size is reduced as Student's interval is wider than that of a known variance. With ``continuous`` 0.5 it is
    Jeffreys' interval, which has no allowance for the steps of a count.
    """
    size *= float((stdtrit(1e9, TAIL) / stdtrit(spare, TAIL)) ** 2)
    hits, misses = value * size, (1 - value) * size
    low = float(betaincinv(hits + continuous, misses + 1 - continuous, TAIL)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1 - continuous, misses + continuous, 1 - TAIL)) if misses > 0 else 1.0
    return low, high


def _moments(means: Floats, slices: Ints) -> tuple[float, float]:
    """Return the mean over a class's slices, and its linearised variance over patients."""
    mean = float(means @ slices / slices.sum())
    if len(means) < 2:
        return mean, 0.0
    deviations = slices * (means - mean) / slices.sum()
    return mean, float(deviations @ deviations) * len(means) / (len(means) - 1)


def _of_all(values: Floats, clusters: Clusters) -> float:
    """Return the variance of the mean of all slices."""
    _, variances = clusters.moments(values)
    slices = clusters.slices
    shares = np.array([slices[units].sum() for units in clusters.classes]) / slices.sum()
    return float(variances @ shares**2)


def _of_mean(variances: Sequence[float] | Floats) -> float:
    """Return the variance of the mean of classes."""
    return float(np.sum(variances)) / len(variances) ** 2


def _stabilised(variance: float, greatest: float, spare: float, imaginary: int) -> float:
    """Return a variance with imaginary patients, one for each class, of the greatest variance."""
    return (variance * spare + greatest * imaginary) / (spare + imaginary)
