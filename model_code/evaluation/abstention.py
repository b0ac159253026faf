"""Counts the test slices on which a model abstains or is unsure, beside the figures, which are of all slices.

The figures include what a model abstains on: else one that answers nothing hard would have the best. The number of
slices that serving would have answered is shown with each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_code import calibration
from model_code.evaluation.bootstrap import DECIMALS, Floats, Ints

Mask = npt.NDArray[np.bool_]


def counts(
    probabilities: Floats,
    abstained: Mask | None,
    targets: Ints,
    labels: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the field Abstention of a measured model; ``abstained`` is None for one that abstains on nothing.

    Coverage is the share of slices that are answered. Their balanced accuracy, and that of the others, is over the
    classes that occur among them, None without any.
    """
    none = np.zeros(len(targets), np.bool_)
    answered = ~(none if abstained is None else abstained)
    unsure = answered & np.array([calibration.is_tie(one) for one in probabilities.tolist()])
    right = probabilities.argmax(axis=1) == targets
    return {
        "Abstains": abstained is not None,
        "Coverage": round(float(answered.mean()), DECIMALS),
        "Abstained": int((~answered).sum()),
        "Unsure": int(unsure.sum()),
        "BalancedAccuracyAnswered": _balanced_accuracy(right, targets, answered),
        "BalancedAccuracyAbstained": _balanced_accuracy(right, targets, ~answered),
        "ByClass": {
            label: {"Abstained": int((of & ~answered).sum()), "Unsure": int((of & unsure).sum())}
            for index, label in enumerate(labels)
            for of in [targets == index]
        },
        "BySubgroup": [
            {"Attribute": attribute, "Value": value, "Abstained": int((of & ~answered).sum())}
            for attribute, values in attributes.items()
            for value in sorted(set(values))
            for of in [np.array(values) == value]
        ],
    }


def _balanced_accuracy(right: Mask, targets: Ints, among: Mask) -> float | None:
    shares = [float(right[among & (targets == index)].mean()) for index in np.unique(targets[among])]
    return round(sum(shares) / len(shares), DECIMALS) if shares else None
