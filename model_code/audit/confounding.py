"""Measures how well a few properties of the slices alone predict the class, patient by patient.

A property that separates the classes without a look at the lungs is what a network learns first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_code.audit.predictability import predictability

PERMUTATIONS = 999
# A number with more values than this is binned by quantiles; a text keeps its most frequent values apart.
MOST_VALUES, QUANTILES = 8, 5
# With so many units of each class a property that separates the classes is always significant.
ALWAYS_ENOUGH = 25

Tags = Mapping[str, str | float]
"""The values by keyword, without absent ones."""


@dataclass(frozen=True)
class Unit:
    """A patient or a slice: its tags, which may be of a person, and its class."""

    tags: Tags = field(repr=False)
    label: str


def confounding(
    slices: Sequence[Unit], patients: Sequence[str], labels: Sequence[str], seed: int, keywords: Sequence[str]
) -> dict[str, Any]:
    """Return how well the tags named by ``keywords`` predict the class, as audit/2 holds it.

    The unit is the patient, because a patient's slices share a scan. If a class has a single patient it is the slice,
    and the figure cannot distinguish a patient from a class. Figures are None if fewer than two classes have two units.
    AttainablePValue is the p-value if one more tag separated the classes completely: what cannot be refused is not
    sound but unknown.
    """
    merged = _by_patient(slices, patients, keywords)
    by_patient = min(Counter(unit.label for unit in merged).get(label, 0) for label in labels) >= 2
    units = merged if by_patient else list(slices)
    sizes = Counter(unit.label for unit in units)
    # A class of one unit can be trained on or tested on, not both.
    present = [label for label in labels if sizes[label] >= 2]
    units = [unit for unit in units if unit.label in present]
    bins = {keyword: _bins([unit.tags.get(keyword) for unit in units]) for keyword in keywords}
    varying = {keyword: column for keyword, column in bins.items() if len(set(column)) > 1}
    document: dict[str, Any] = {
        "Unit": "Patient" if by_patient else "Slice",
        "Units": len(units),
        "Permutations": PERMUTATIONS,
    }
    if len(present) < 2:
        nothing = dict.fromkeys(("BalancedAccuracy", "Chance", "PValue", "AttainablePValue"))
        return document | nothing | {"Tags": []}
    classes = np.array([present.index(unit.label) for unit in units], np.intp)
    document["AttainablePValue"] = round(_attainable(list(varying.values()), classes, seed), 4)
    chance = 1 / len(present)
    if not varying:  # every tag has the same value everywhere: only guessing is left
        return document | {"BalancedAccuracy": chance, "Chance": chance, "PValue": 1.0, "Tags": []}
    found = predictability(np.array(list(varying.values()), np.intp).T, classes, PERMUTATIONS, seed)
    tags = sorted(zip(varying, found.by_tag, strict=True), key=lambda tag: -tag[1])
    return document | {
        "BalancedAccuracy": round(found.balanced_accuracy, 4),
        "Chance": round(chance, 4),
        "PValue": round(found.p_value, 4),
        "Tags": [{"Keyword": keyword, "BalancedAccuracy": round(value, 4)} for keyword, value in tags],
    }


def _attainable(columns: list[list[int]], classes: npt.NDArray[np.intp], seed: int) -> float:
    if np.bincount(classes).min() >= ALWAYS_ENOUGH:
        return 1 / (1 + PERMUTATIONS)
    with_class = np.array([*columns, classes.tolist()], np.intp).T
    return predictability(with_class, classes, PERMUTATIONS, seed).p_value


def _by_patient(slices: Sequence[Unit], patients: Sequence[str], keywords: Sequence[str]) -> list[Unit]:
    """Return one unit per patient: the most frequent text, the median number, the label of most slices."""
    of_patient: dict[str, list[Unit]] = defaultdict(list)
    for patient, one in zip(patients, slices, strict=True):
        of_patient[patient].append(one)
    return [
        Unit(
            {
                keyword: value
                for keyword in keywords
                if (value := _usual([unit.tags[keyword] for unit in units if keyword in unit.tags])) is not None
            },
            str(_usual([unit.label for unit in units])),
        )
        for units in of_patient.values()
    ]


def _usual(values: Sequence[str | float]) -> str | float | None:
    if not values:
        return None
    if isinstance(values[0], float):
        return float(np.median(np.array(values, np.float64)))
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def _bins(values: Sequence[str | float | None]) -> list[int]:
    """Return a bin for each value, numbered from 0 without gaps: absent, each text or number, or a quantile of numbers.

    The labels do not influence it, so it can be done before the cross-validation.
    """
    counts = Counter(value for value in values if value is not None)
    numbers = np.array([value for value in values if isinstance(value, float)])
    keys: list[Any]
    if len(counts) > MOST_VALUES and len(numbers):
        cuts: npt.NDArray[np.float64] = np.quantile(numbers, np.arange(1, QUANTILES) / QUANTILES)
        keys = [None if value is None else int(np.searchsorted(cuts, float(value), "right")) for value in values]
    else:
        frequent = {value for value, _ in counts.most_common(MOST_VALUES)}
        keys = [value if value is None or value in frequent else ... for value in values]
    numbered: dict[Any, int] = {}
    return [numbered.setdefault(key, len(numbered)) for key in keys]
