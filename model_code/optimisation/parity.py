"""Compares a backend's probabilities with those of the trained network and decides whether the backend may serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_code.evaluation.bootstrap import Floats, Ints, Resamples
from model_code.evaluation.statistics import areas_under_curve


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a backend may deviate from the trained network on every held-out slice.

    ``probability``: of any class. ``tie_band``: the class may change only where the network's two highest
    probabilities are closer than this. ``auc``: how much smaller any class's area under the ROC curve may be.
    """

    probability: float
    tie_band: float
    auc: float


# The same arithmetic in another order: only rounding differs.
FP32 = Bounds(probability=1e-4, tie_band=2e-4, auc=1e-3)
# Fewer bits: precision is lost.
INT8 = Bounds(probability=0.02, tie_band=0.02, auc=5e-3)
HALF = INT8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The deviation on ``slices`` slices; ``changes`` counts changed classes, ``clear_changes`` those beyond a tie."""

    slices: int
    probability_difference: float
    changes: int
    clear_changes: int
    auc_loss: float

    def problems(self, bounds: Bounds) -> list[str]:
        """Return the reasons why the backend may not serve, a sentence each. A NaN is beyond every bound."""
        found: list[str] = []
        if not self.probability_difference <= bounds.probability:
            found.append(
                f"a probability differs by {self.probability_difference:.2g}, at most {bounds.probability:g} is allowed"
            )
        if self.clear_changes:
            found.append(f"{self.clear_changes} of {self.slices} slices are of another class and no tie")
        if not self.auc_loss <= bounds.auc:
            found.append(f"an AUC is smaller by {self.auc_loss:.2g}, at most {bounds.auc:g} is allowed")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the record for metadata.json."""
        return {
            "slices": self.slices,
            "max_probability_difference": self.probability_difference,
            "class_changes": self.changes,
            "class_changes_beyond_a_tie": self.clear_changes,
            "auc_loss": self.auc_loss,
        }


def compare(reference: Floats, probabilities: Floats, targets: Ints, tie_band: float) -> Comparison:
    """Compare two N x classes arrays of probabilities of the same slices; ``targets``: N true class indices."""
    runner_up, highest = np.sort(reference, axis=1)[:, -2:].T
    changed = reference.argmax(axis=1) != probabilities.argmax(axis=1)
    return Comparison(
        slices=len(targets),
        probability_difference=float(np.abs(probabilities - reference).max()),
        changes=int(changed.sum()),
        clear_changes=int((changed & ~(highest - runner_up < tie_band)).sum()),
        auc_loss=_auc_loss(reference, probabilities, targets),
    )


def _auc_loss(reference: Floats, probabilities: Floats, targets: Ints) -> float:
    """Return the largest loss over the classes that have slices, but not all of them; 0 without such a class."""
    everything = Resamples(np.ones((1, len(targets))), np.arange(len(targets)))
    losses = [0.0]
    for index in np.unique(targets):
        positive = targets == index
        if not positive.all():
            before, after = (
                float(areas_under_curve(one[:, index], positive, everything)[0]) for one in (reference, probabilities)
            )
            losses.append(before - after)
    return max(losses)
