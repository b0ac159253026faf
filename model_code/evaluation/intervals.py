"""Computes 95 % intervals that cover at small numbers of patients; the percentiles of a bootstrap do not.

The unit is the patient, drawn within its class. Variances are linearised, since patients have unequal numbers of slices
(Korn and Graubard 1998), and many slices of one patient count as one: a class of patients with unequal numbers has as
many ``effective`` patients as equal ones with the same variance would be (Kish 1965). A variance that few patients give
is unstable, and 0 where all are alike, so each is stabilised by a few imaginary patients, as many as there are classes.
In a mean of classes each class is stabilised by its own: a rare class moves it most, and its few patients say least.

- Shares (sensitivity, specificity, accuracy, balanced accuracy): Clopper and Pearson's interval with the effective
  sample size, which Korn and Graubard (Survey Methodology 24, 1998) propose for clustered data.
- AUC: the same, with the variance of patients' placements (DeLong 1988, Obuchowski 1997), and near Jeffreys' interval
  (Brown, Cai and DasGupta 2001), because an AUC is no count.
- Difference of two models on the same patients: Student's t on patients' differences, stratified by class.

``python -m assurance.gates`` measures how often they cover.
"""

from __future__ import annotations

import math
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
# A class with fewer patients, as a share of the mean class's, widens the interval of the balanced accuracy alone.
RARE = 0.5
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
    """The patient of each slice, numbered from 0 without gaps, and the class (stratum) of each patient.

    ``targets``: the class of each slice, which need not be its patient's; None where it is.
    """

    unit_of: Ints
    strata: Ints
    targets: Ints | None = None

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
    def spare_of_mean(self) -> float:
        """The degrees of freedom of a mean of classes: ``spare``, if these are equal, and near the rarest's if not."""
        return _spare_of_sum(self.effective)

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

    def mean_of_classes(self, values: Floats) -> tuple[float, Floats]:
        """Return the mean of the classes' means of slices, and what each stratum's patients add to its variance."""
        targets = self.strata[self.unit_of] if self.targets is None else self.targets
        class_of = np.unique(targets, return_inverse=True)[1]
        slices = np.bincount(class_of)
        means = np.bincount(class_of, values) / slices
        # What a patient adds to the mean, whose slices may be of several classes.
        added = np.bincount(self.unit_of, ((values - means[class_of]) / slices[class_of]), len(self.strata)) / len(
            means
        )
        parts = [added[units] for units in self.classes]
        return float(means.mean()), np.array([len(one) * one.var(ddof=1) if len(one) > 1 else 0.0 for one in parts])

    def only(self, rows: Rows) -> Clusters:
        """Return the clusters of some of the slices."""
        units, unit_of = np.unique(self.unit_of[rows], return_inverse=True)
        return Clusters(unit_of, self.strata[units], None if self.targets is None else self.targets[rows])


def design_effect(right: Floats, clusters: Clusters) -> float:
    """Return how the slices of a patient repeat each other: from 0.1 or so (not at all) to 1 (they are one slice).

    It is the variance of the share over patients, as a share of that of patients who are wholly right or wrong, and
    stabilised by one such patient. Both are within the classes, whose shares may differ.
    """
    shares, variances = clusters.moments(right)
    greatest = _of_all(shares * (1 - shares) / clusters.effective, clusters)
    if not greatest:
        return 1.0
    least = sum(clusters.effective) / len(right)
    effect = float(np.clip(_of_all(variances, clusters) / greatest, least, 1))
    return _stabilised(effect, 1.0, clusters.spare, 1)


def proportion(right: Floats, clusters: Clusters, effect: float, spare: float) -> Ends:
    """Return the interval of a share of slices, with the design effect and degrees of freedom of all classes."""
    return clopper_pearson(float(right.mean()), sum(clusters.effective) / effect, spare)


def mean_of_classes(right: Floats, clusters: Clusters) -> Figure:
    """Return the mean of the classes' shares of right slices, the balanced accuracy, with its interval."""
    value, variances = clusters.mean_of_classes(right)
    effective, spare = np.array(clusters.effective), clusters.spare_of_mean
    size = 1 / _of_mean(1 / effective)
    if value * (1 - value):
        variance = _of_mean_stabilised(variances, value * (1 - value) / effective, effective)
        size = min(value * (1 - value) / variance, len(right))
    low, high = clopper_pearson(value, size, spare)
    below, above = _moved_by_a_rare_class(right, clusters)
    return Figure.of(value, (max(min(low, value - below), 0.0), min(max(high, value + above), 1.0)))


def _moved_by_a_rare_class(right: Floats, clusters: Clusters) -> Ends:
    """Return how far down and up one rare class alone could move the balanced accuracy; 0 where none is rare.

    Of few patients who were all right no variance says so. A class is rare that has less than RARE of the mean class's
    patients: where classes are alike, the variance of all of them knows enough, and this would only add width.
    """
    effective = np.array(clusters.effective)
    shares, _ = clusters.moments(right)
    ends = [(0.0, 0.0)]
    for share, size in zip(shares.tolist(), effective, strict=True):
        if size < RARE * effective.mean():
            low, high = clopper_pearson(share, size, math.inf)
            ends.append(((share - low) / len(shares), (high - share) / len(shares)))
    return max(below for below, _ in ends), max(above for _, above in ends)


def area(value: float, scores: Floats, positive: Rows, clusters: Clusters) -> Ends:
    """Return the interval of the area under the ROC curve."""
    ours, theirs = np.sort(scores[positive]), np.sort(scores[~positive])
    variance, effective = 0.0, []
    for rows, others in ((positive, theirs), (~positive, ours)):
        low, high = (np.searchsorted(others, scores[rows], side) for side in ("left", "right"))
        part = clusters.only(rows)
        if part.fewest < 2:  # a patient with slices of several classes may be alone in its class here
            part = Clusters(part.unit_of, np.zeros_like(part.strata))
        variance += _of_all(part.moments((low + high) / (2 * len(others)))[1], part)
        effective.append(sum(part.effective))
    size, greatest, spare = sum(clusters.effective), value * (1 - value), _spare_of_sum(effective)
    if greatest:
        imaginary = PLACEMENT_SPREAD * greatest / min(effective)
        variance = _stabilised(variance, imaginary, spare, len(clusters.effective))
        size = min(greatest / variance, len(scores))
    return clopper_pearson(value, size, spare, CONTINUOUS)


def difference(candidate: Floats, champion: Floats, clusters: Clusters, folds: int = 0) -> Difference:
    """Return the difference of two models' balanced accuracies, from whether each slice is right.

    By ``folds`` each of the two is so many models, and the patients of a fold share one: the variance has FOLD_SPREAD.
    """
    middle, variances = clusters.mean_of_classes(candidate - champion)
    apart, _ = clusters.moments(np.abs(clusters.means(candidate - champion))[clusters.unit_of])
    effective, spare = np.array(clusters.effective), clusters.spare_of_mean
    # A patient's difference is between -1 and 1, so its square is not greater than itself. One more patient, a part of
    # each class, on whom the models differ wholly, keeps the interval of two that never differed from having no width.
    part = 1 / len(effective)
    greatest = (effective * apart + part) / (effective + part) / effective
    of_folds = 2 * FOLD_SPREAD**2 / folds if folds else 0.0
    error = float(np.sqrt(_of_mean_stabilised(variances, greatest, effective) + of_folds))
    reach = -float(stdtrit(spare, TAIL)) * error
    found = Figure.of(middle, (max(middle - reach, -1.0), min(middle + reach, 1.0)))
    return Difference(found, rounded(error), rounded(spare))


def clopper_pearson(value: float, size: float, spare: float, continuous: float = 0.0) -> Ends:
    """Return Clopper and Pearson's interval of a share of ``size`` cases, which need be no whole number.

    The size is reduced as Student's interval is wider than that of a known variance. With ``continuous`` 0.5 it is
    Jeffreys' interval, which has no allowance for the steps of a count.
    """
    size *= float((stdtrit(1e9, TAIL) / stdtrit(min(spare, 1e9), TAIL)) ** 2)
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


def _of_all(variances: Floats, clusters: Clusters) -> float:
    """Return the variance of the mean of all slices, from those of the classes' means."""
    slices = clusters.slices
    shares = np.array([slices[units].sum() for units in clusters.classes]) / slices.sum()
    return float(variances @ shares**2)


def _of_mean(variances: Sequence[float] | Floats) -> float:
    """Return the variance of the mean of classes."""
    return float(np.sum(variances)) / len(variances) ** 2


def _spare_of_sum(effective: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of means of so many patients each, who vary alike; 1 at least.

    (Satterthwaite 1946.)
    """
    parts = 1 / np.array(effective)
    return max(1.0, float(parts.sum() ** 2 / (parts**2 / np.maximum(1 / parts - 1, 1e-9)).sum()))


def _of_mean_stabilised(variances: Floats, greatest: Floats, effective: Floats) -> float:
    """Return the variance of the mean of classes from what each adds, with one imaginary patient for each.

    ``greatest``: the variance of each class's mean, if its patients varied as the imaginary one.
    """
    stabilised = (variances * (effective - 1) + greatest / len(effective) ** 2) / effective
    return float(stabilised.sum())


def _stabilised(variance: float, greatest: float, spare: float, imaginary: int) -> float:
    """Return a variance with imaginary patients, one for each class, of the greatest variance."""
    return (variance * spare + greatest * imaginary) / (spare + imaginary)
