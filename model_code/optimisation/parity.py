"""Compares a backend's probabilities with those of the trained network and decides whether the backend may serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_code.evaluation.bootstrap import Floats, Ints, Resamples
from model_code.evaluation.statistics import areas_under_curve


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a backend may deviate from the trained network on held-out slices.

    A slice's difference is the largest of its classes' probabilities. ``most``: of any slice. ``usual``: of all but
    ALLOWED_SHARE of the slices; the largest difference alone grows with their number. ``tie_band``: the class may
    change only where the network's two highest probabilities are closer than this. ``auc``: how much smaller any
    class's area under the ROC curve may be, or by one pair of slices where a pair weighs more.
    """

    usual: float
    most: float
    tie_band: float
    auc: float
    grid: float


ALLOWED_SHARE = 0.01
ROUNDING = 1e-9  # of the difference of two areas
# The same arithmetic in another order: only rounding differs.
FP32 = Bounds(usual=1e-4, most=1e-4, tie_band=2e-4, auc=1e-3, grid=1e-3)
# Fewer bits: precision is lost, but less than the network itself loses by changes that no reader sees (stability.py).
INT8 = Bounds(usual=0.02, most=0.05, tie_band=0.02, auc=5e-3, grid=0.05)
BF16 = HALF = INT8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The deviation on ``slices`` slices; ``changes`` counts changed classes, ``clear_changes`` those beyond a tie.

    ``usual_difference``: what all slices but ALLOWED_SHARE keep to. ``auc_loss`` and ``auc_allowed`` are of the class
    in which the loss exceeds what is allowed by most, or falls short of it by least.
    """

    slices: int
    usual_difference: float
    largest_difference: float
    changes: int
    clear_changes: int
    auc_loss: float
    auc_allowed: float

    def problems(self, bounds: Bounds) -> list[str]:
        """Return the reasons why the backend may not serve, a sentence each. A NaN is beyond every bound."""
        found: list[str] = []
        if not self.usual_difference <= bounds.usual:
            found.append(
                f"a probability differs by {self.usual_difference:.2g} or more on more than {ALLOWED_SHARE:.0%} of "
                f"{self.slices} slices, at most {bounds.usual:g} is allowed"
            )
        if not self.largest_difference <= bounds.most:
            found.append(
                f"a probability differs by {self.largest_difference:.2g}, at most {bounds.most:g} is allowed on any "
                "slice"
            )
        if self.clear_changes:
            found.append(f"{self.clear_changes} of {self.slices} slices are of another class and no tie")
        if not self.auc_loss <= self.auc_allowed + ROUNDING:
            found.append(f"an AUC is smaller by {self.auc_loss:.2g}, at most {self.auc_allowed:.2g} is allowed")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the record for metadata.json."""
        return {
            "slices": self.slices,
            "p99_probability_difference": self.usual_difference,
            "max_probability_difference": self.largest_difference,
            "class_changes": self.changes,
            "class_changes_beyond_a_tie": self.clear_changes,
            "auc_loss": self.auc_loss,
            "auc_loss_allowed": self.auc_allowed,
        }


def compare(reference: Floats, probabilities: Floats, targets: Ints, bounds: Bounds) -> Comparison:
    """Compare two N x classes arrays of probabilities of the same slices; ``targets``: N true class indices."""
    runner_up, highest = np.sort(reference, axis=1)[:, -2:].T
    changed = reference.argmax(axis=1) != probabilities.argmax(axis=1)
    differences = np.abs(probabilities - reference).max(axis=1)
    loss, allowed = _auc_loss(reference, probabilities, targets, bounds.auc)
    return Comparison(
        slices=len(targets),
        # An actual slice's difference: of fewer than 100 slices it is the largest, so few slices allow no exception.
        usual_difference=float(np.quantile(differences, 1 - ALLOWED_SHARE, method="inverted_cdf")),
        largest_difference=float(differences.max()),
        changes=int(changed.sum()),
        clear_changes=int((changed & ~(highest - runner_up < bounds.tie_band)).sum()),
        auc_loss=loss,
        auc_allowed=allowed,
    )


def _auc_loss(reference: Floats, probabilities: Floats, targets: Ints, bound: float) -> tuple[float, float]:
    """Return the loss and what is allowed, of the class in which the loss is worst by its allowance.

    Classes count that have slices, but not all of them. Without such a class, and without a loss, the loss is 0.
    """
    everything = Resamples(np.ones((1, len(targets))), np.arange(len(targets)))
    losses: list[tuple[float, float]] = []
    for index in np.unique(targets):
        positive = targets == index
        if not positive.all():
            before, after = (
                float(areas_under_curve(one[:, index], positive, everything)[0]) for one in (reference, probabilities)
            )
            one_pair = 1 / (int(positive.sum()) * int((~positive).sum()))
            losses.append((max(0.0, before - after), max(bound, one_pair)))
    return max(losses, key=lambda one: one[0] - one[1], default=(0.0, bound))
