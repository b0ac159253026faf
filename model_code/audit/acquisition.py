"""Reads the tags that describe how a slice was acquired, and measures how well they alone predict the class.

A model can only be trusted to read the lungs if the scanner and its protocol do not already separate the classes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_code.audit.predictability import predictability
from model_code.reading.elements import Elements

# Tags of the scanner, its protocol and the storage; none that names or describes a person, a place or a time.
TEXTS = (
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "FilterType",
    "PatientPosition",
    "PhotometricInterpretation",
)
NUMBERS = (
    "KVP",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelSpacing",
    "ReconstructionDiameter",
    "XRayTubeCurrent",
    "ExposureTime",
    "Exposure",
    "GantryDetectorTilt",
    "RescaleIntercept",
    "RescaleSlope",
)
COUNTS = ("Rows", "Columns", "BitsStored", "PixelRepresentation")
TRANSFER_SYNTAX = "TransferSyntaxUID"
KEYWORDS = (*TEXTS, *NUMBERS, *COUNTS)
PERMUTATIONS = 999
# A number with more values than this is binned by quantiles; a text keeps its most frequent values apart.
MOST_VALUES, QUANTILES = 8, 5

Tags = Mapping[str, str | float]
"""The values by keyword, without absent ones."""


@dataclass(frozen=True)
class Unit:
    """A patient or a slice: its tags and its class."""

    tags: Tags
    label: str


def read_tags(elements: Elements) -> Tags:
    """Return the acquisition tags of one slice: the first of several values; unparsable numbers are skipped."""
    texts = {keyword: elements.text(keyword).partition("\\")[0].strip() for keyword in (*TEXTS, *NUMBERS)}
    tags: dict[str, str | float] = {keyword: texts[keyword] for keyword in TEXTS if texts[keyword]}
    tags[TRANSFER_SYNTAX] = str(elements.transfer_syntax)
    for keyword in NUMBERS:
        try:
            value = float(texts[keyword])
        except ValueError:
            continue
        if math.isfinite(value):
            tags[keyword] = value
    for keyword in COUNTS:
        count = elements.number(keyword)
        if count is not None:
            tags[keyword] = float(count)
    return tags


def acquisition(slices: Sequence[Unit], patients: Sequence[str], labels: Sequence[str], seed: int) -> dict[str, Any]:
    """Return audit/1's ``Acquisition`` for all slices and the patient of each.

    The unit is the patient, because a patient's slices share a scan. If a class has a single patient it is the slice,
    and the figure cannot distinguish a patient from a class. Figures are None if fewer than two classes have two units.
    """
    merged = _by_patient(slices, patients)
    by_patient = min(Counter(unit.label for unit in merged).get(label, 0) for label in labels) >= 2
    units = merged if by_patient else list(slices)
    sizes = Counter(unit.label for unit in units)
    # A class of one unit can be trained on or tested on, not both.
    present = [label for label in labels if sizes[label] >= 2]
    units = [unit for unit in units if unit.label in present]
    bins = {keyword: _bins([unit.tags.get(keyword) for unit in units]) for keyword in (*KEYWORDS, TRANSFER_SYNTAX)}
    varying = {keyword: column for keyword, column in bins.items() if len(set(column)) > 1}
    document = {"Unit": "Patient" if by_patient else "Slice", "Units": len(units), "Permutations": PERMUTATIONS}
    if len(present) < 2:
        return document | {"BalancedAccuracy": None, "Chance": None, "PValue": None, "Tags": []}
    chance = 1 / len(present)
    if not varying:  # every tag has the same value everywhere: only guessing is left
        return document | {"BalancedAccuracy": chance, "Chance": chance, "PValue": 1.0, "Tags": []}
    classes = np.array([present.index(unit.label) for unit in units], np.intp)
    found = predictability(np.array(list(varying.values()), np.intp).T, classes, PERMUTATIONS, seed)
    tags = sorted(zip(varying, found.by_tag, strict=True), key=lambda tag: -tag[1])
    return document | {
        "BalancedAccuracy": round(found.balanced_accuracy, 4),
        "Chance": round(chance, 4),
        "PValue": round(found.p_value, 4),
        "Tags": [{"Keyword": keyword, "BalancedAccuracy": round(value, 4)} for keyword, value in tags],
    }


def _by_patient(slices: Sequence[Unit], patients: Sequence[str]) -> list[Unit]:
    """Return one unit per patient: the most frequent text, the median number, the label of most slices."""
    of_patient: dict[str, list[Unit]] = defaultdict(list)
    for patient, one in zip(patients, slices, strict=True):
        of_patient[patient].append(one)
    return [
        Unit(
            {
                keyword: value
                for keyword in (*KEYWORDS, TRANSFER_SYNTAX)
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
