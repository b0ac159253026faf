"""Makes test sets and predictions of models whose true figures are known.

Each slice of a patient has a latent score per class: ``shift`` for the true class, a part that all slices of the
patient share, and one that differs from slice to slice. Scores are normal with variance 1, so the softmax of
``shift`` x score is the true probability of each class where the classes are equally frequent: the models are perfectly
calibrated. Two models share a part of the variance, because they err on the same hard patients.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_code.evaluation.document import Predictions, TestSet

LABELS = ("normal", "cap", "covid")
SHARED = 0.6  # of the variance, between two models
TRUTH_DRAWS = 400_000
BEST = 0.99  # the greatest balanced accuracy of the models of folds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """A population: the champion's true balanced accuracy, and the correlation of the slices of one patient.

    ``shares`` are the classes' shares of the patients. A patient has from the fewest to the most ``slices``.
    """

    name: str
    balanced_accuracy: float
    intra_patient: float
    shares: tuple[int, ...] = (1, 1, 1)
    slices: tuple[int, int] = (10, 10)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return LABELS[: len(self.shares)]


BASE = Setting("base", 0.85, 0.5)
HIGH = Setting("high", 0.95, 0.7)
# By this one the intervals were mended for patients with unequal numbers of slices, and two constants were chosen.
UNEVEN = Setting("uneven", 0.75, 0.8, shares=(2, 1), slices=(1, 30))
# This one was made when all constants were fixed, and changed none: it shows whether the intervals hold elsewhere.
OTHER = Setting("other", 0.9, 0.3, shares=(3, 2, 1), slices=(2, 20))
SETTINGS = (BASE, HIGH, UNEVEN, OTHER)


@dataclass(frozen=True)
class Truth:
    """What the figures of a model would be on endlessly many patients; the classes are alike."""

    sensitivity: float
    specificity: float
    auc: float


def shift_for(balanced_accuracy: float, classes: int) -> float:
    """Return the shift of the true class's score that gives a model this balanced accuracy."""
    leads = _leads(classes)
    return float(np.interp(balanced_accuracy * (len(leads) - 1), np.arange(len(leads)), leads))


@functools.cache
def _leads(classes: int) -> Floats:
    """Return by how much the best of the other classes' scores leads the true one's without a shift, sorted."""
    others = np.random.default_rng(0).normal(size=(TRUTH_DRAWS, classes))
    leads: Floats = np.sort(others[:, 1:].max(axis=1) - others[:, 0])
    return leads


@functools.cache
def truth_of(balanced_accuracy: float, classes: int) -> Truth:
    """Return a model's true figures, from one large draw of independent slices.

    The AUC is that of a class against one other. Against several it is the same, since the classes are alike.
    """
    shift, rng = shift_for(balanced_accuracy, classes), np.random.default_rng(1)
    scores = rng.normal(size=(2, TRUTH_DRAWS, classes))
    scores[0, :, 0] += shift
    scores[1, :, 1] += shift
    own, other = (_softmax(shift * one)[:, 0] for one in scores)
    ranks = np.searchsorted(np.sort(other), own)
    wrong = 1 - balanced_accuracy
    return Truth(balanced_accuracy, 1 - wrong / (classes - 1), float(ranks.mean() / TRUTH_DRAWS))


def test_set(setting: Setting, patients: int) -> TestSet:
    """Return a test part with the classes in their shares, up to one patient."""
    turns = np.repeat(np.arange(len(setting.shares)), setting.shares)
    fewest, most = np.log(setting.slices)
    spread = np.random.default_rng(patients).uniform(fewest, most, patients)
    numbers = np.repeat(np.arange(patients), np.exp(spread).round().astype(int))
    return TestSet(setting.labels, turns[numbers % len(turns)], numbers, attributes={})


class Population:
    """Draws models' predictions on one test set; models of one draw share what is hard about its patients."""

    def __init__(self, setting: Setting, cases: TestSet, rng: np.random.Generator) -> None:
        self._cases = cases
        self._rng = rng
        self._intra = setting.intra_patient
        self._classes = len(setting.shares)
        self._common = self._noise()

    def model(self, balanced_accuracy: float, name: str = "candidate", sharpness: float = 1.0) -> Predictions:
        """Return predictions of a model with this true balanced accuracy; ``sharpness`` multiplies its logits."""
        return self._model(
            np.full(len(self._cases.targets), shift_for(balanced_accuracy, self._classes)), name, sharpness
        )

    def patients_of(self, label: int) -> npt.NDArray[np.intp]:
        """Return the patients of a class."""
        found: npt.NDArray[np.intp] = np.unique(self._cases.patients[self._cases.targets == label])
        return found

    def failing_on(self, patients: frozenset[int], balanced_accuracy: float) -> Predictions:
        """Return predictions of a model that has this balanced accuracy on all but some patients.

        Their slices are read as if they were of the next class.
        """
        hard = np.isin(self._cases.patients, list(patients))
        read_as = np.where(hard, (self._cases.targets + 1) % self._classes, self._cases.targets)
        shifts = np.full(len(read_as), shift_for(balanced_accuracy, self._classes))
        return self._model(shifts, "candidate", 1.0, read_as)

    def failing_in(self, slices: npt.NDArray[np.bool_], balanced_accuracy: float, loss: float) -> Predictions:
        """Return predictions of a model with this balanced accuracy, but lower by ``loss`` on some of the slices."""
        shifts = [shift_for(one, self._classes) for one in (balanced_accuracy, balanced_accuracy - loss)]
        return self._model(np.where(slices, shifts[1], shifts[0]), "candidate", 1.0)

    def by_folds(self, balanced_accuracy: float, folds: int, spread: float, name: str = "candidate") -> Predictions:
        """Return out-of-fold predictions: each fold's are of another model, and these differ in how good they are.

        Their true balanced accuracies are normal around this one with the standard deviation ``spread``, and 0.99 at
        most; where that cuts above, it cuts as much below.
        """
        most = BEST - balanced_accuracy
        found = balanced_accuracy + np.clip(spread * self._rng.normal(size=folds), -most, most)
        shifts = np.array([shift_for(one, self._classes) for one in found])
        return self._model(shifts[fold_of(self._cases, folds)], name, 1.0)

    def _model(
        self, shifts: Floats, name: str, sharpness: float, read_as: npt.NDArray[np.intp] | None = None
    ) -> Predictions:
        scores = np.sqrt(SHARED) * self._common + np.sqrt(1 - SHARED) * self._noise()
        scores[np.arange(len(scores)), self._cases.targets if read_as is None else read_as] += shifts
        probabilities = _softmax(sharpness * shifts[:, None] * scores)
        identity = {"Name": "simulated", "Version": name, "WeightsSHA256": hashlib.sha256(name.encode()).hexdigest()}
        return Predictions(identity, 1.0, probabilities, probabilities)

    def _noise(self) -> Floats:
        patients = self._rng.normal(size=(int(self._cases.patients.max()) + 1, self._classes))[self._cases.patients]
        slices = self._rng.normal(size=(len(self._cases.targets), self._classes))
        noise: Floats = np.sqrt(self._intra) * patients + np.sqrt(1 - self._intra) * slices
        return noise


def fold_of(cases: TestSet, folds: int) -> npt.NDArray[np.intp]:
    """Return the fold of each slice, from 0: each class's patients are dealt to them in turn."""
    classes = np.zeros(int(cases.patients.max()) + 1, np.intp)
    classes[cases.patients] = cases.targets
    dealt = np.zeros_like(classes)
    for label in range(len(cases.labels)):
        ones = np.flatnonzero(classes == label)
        dealt[ones] = np.arange(len(ones)) % folds
    found: npt.NDArray[np.intp] = dealt[cases.patients]
    return found


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Floats = powers / powers.sum(axis=1, keepdims=True)
    return softmax
