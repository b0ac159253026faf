"""Measures how well binned tags alone predict the class, and whether chance would explain it.

A naive Bayes classifier is cross-validated, with all tags together and with each alone. Each is measured by how well it
separates all classes, and each class from the rest, and every measure is compared with permuted labels. Two figures are
ranked among those of permuted labels: the most surprising measure, and the highest balanced accuracy. The p-value is
that of the better rank. It accounts for both choices, because every permutation makes the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FOLDS = 5
# Added to each count, so that a value not yet seen in a class is unlikely, not impossible.
SMOOTHING = 0.5
# Sums of the same terms in another order differ by at most this; the measures differ by much more.
ROUNDING = 1e-9

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Predictability:
    """Cross-validated balanced accuracies, the best and by tag; ``p_value``: how often permuted labels do as well."""

    balanced_accuracy: float
    by_tag: tuple[float, ...]
    p_value: float


def predictability(bins: _Ints, classes: _Ints, permutations: int, seed: int) -> Predictability:
    """Measure how ``bins`` (units x tags, each column numbered from 0) predict ``classes`` (of each unit, from 0).

    Every class must have at least two units. Equal arguments give equal results.
    """
    table = _Table.of(bins, classes)
    rng = np.random.default_rng(seed)
    dealt = [table.dealt(rng), *(rng.permutation(table.slots) for _ in range(permutations))]
    confusions = np.array([table.confusions(slots) for slots in dealt])
    accuracies = np.diagonal(confusions, axis1=2, axis2=3).mean(axis=2)
    # The most surprising measure finds a tag that betrays one class of several. With few units it may be a tag that
    # hardly varies, under which a tag that separates all classes could go unseen; the highest accuracy finds that one.
    ranks = np.sort([_ranks(_standardised(_measures(confusions)).max(axis=1)), _ranks(accuracies.max(axis=1))], axis=0)
    order = ranks[0] * (len(dealt) + 1) + ranks[1]
    reached = int((order[1:] <= order[0]).sum())
    return Predictability(
        balanced_accuracy=float(accuracies[0].max()),
        by_tag=tuple(accuracies[0, :-1].tolist()),
        p_value=(1 + reached) / (1 + permutations),
    )


def _ranks(values: _Floats) -> _Ints:
    """Return how many values are at least as high as each, up to rounding."""
    ordered = np.sort(values)
    ranks: _Ints = len(values) - np.searchsorted(ordered, values - ROUNDING, "left")
    return ranks


def _measures(confusions: _Floats) -> _Floats:
    """Return each classifier's accuracy, over all classes and per class against the rest: permutations x measures."""
    right = np.diagonal(confusions, axis1=2, axis2=3)
    wrongly_called = (confusions.sum(axis=2) - right) / (right.shape[2] - 1)
    measures = np.concatenate([right.mean(axis=2, keepdims=True), right - wrongly_called], axis=2)
    return measures.reshape(len(confusions), -1)


def _standardised(measures: _Floats) -> _Floats:
    """Return each column with mean 0 and standard deviation 1; a constant column becomes 0."""
    spread = measures.std(axis=0)
    standardised: _Floats = (measures - measures.mean(axis=0)) / np.where(spread > ROUNDING, spread, np.inf)
    return standardised


@dataclass(frozen=True)
class _Table:
    """The tags as one-hot columns: ``columns`` (units x tags) numbers them, ``starts`` is each tag's first.

    A *slot* is a class and a fold, class * folds + fold. ``slots`` holds those of all units, each class spread evenly
    over the folds; dealing them again permutes the labels.
    """

    columns: _Ints
    starts: _Ints
    widths: _Ints
    classes: _Ints
    sizes: _Ints
    slots: _Ints
    folds: int

    @classmethod
    def of(cls, bins: _Ints, classes: _Ints) -> _Table:
        widths = bins.max(axis=0) + 1
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.intp)
        sizes = np.bincount(classes)
        folds = int(min(FOLDS, sizes.min()))
        slots = [one * folds + np.arange(size) % folds for one, size in enumerate(sizes)]
        return cls(bins + starts, starts, widths, classes, sizes, np.concatenate(slots), folds)

    def dealt(self, rng: np.random.Generator) -> _Ints:
        """Return a slot of its class for every unit, with a random fold."""
        slots = np.empty_like(self.slots)
        # Slots are ordered by class; so are the units here, shuffled within each class.
        slots[np.lexsort((rng.random(len(slots)), self.classes))] = self.slots
        return slots

    def confusions(self, slots: _Ints) -> _Floats:
        """Return the share of each class (row) called each class (column): for each tag alone, and last for all."""
        shape = (int(self.widths.sum()), len(self.sizes), self.folds)
        flat = self.columns * (shape[1] * shape[2]) + slots[:, None]
        counts = np.bincount(flat.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
        others = counts.sum(axis=2, keepdims=True) - counts
        # Divided by the size of the whole class, not of its part outside the fold, which would reveal how many of the
        # fold are of that class.
        pseudo = SMOOTHING * np.repeat(self.widths, self.widths)
        scores = np.log(others + SMOOTHING) - np.log(self.sizes + pseudo[:, None])[:, :, None]
        by_bin = counts @ _credit(scores).swapaxes(1, 2)
        called = [np.add.reduceat(by_bin, self.starts, axis=0), self._together(scores, slots)[None]]
        return np.concatenate(called) / self.sizes[:, None]

    def _together(self, scores: _Floats, slots: _Ints) -> _Floats:
        """Return how often all tags together call each class (row) each class (column)."""
        by_fold = np.ascontiguousarray(np.moveaxis(scores, 2, 0))
        classes, folds = np.divmod(slots, self.folds)
        credit = _credit(by_fold[folds[:, None], self.columns].sum(axis=1))
        called = [np.bincount(classes, credit[:, one], len(self.sizes)) for one in range(len(self.sizes))]
        return np.stack(called, axis=1)


def _credit(scores: _Floats) -> _Floats:
    """Return 1 for the class (axis 1) with the highest score, shared among equal ones, and 0 for the others."""
    best = scores == scores.max(axis=1, keepdims=True)
    credit: _Floats = best / best.sum(axis=1, keepdims=True)
    return credit
