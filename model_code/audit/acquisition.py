"""Reads the tags that describe how a slice was acquired, and measures how well they alone predict the class.

A model can only be trusted to read the lungs if the scanner and its protocol do not already separate the classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from model_code.audit.confounding import PERMUTATIONS, Tags, Unit, confounding
from model_code.reading.elements import Elements

__all__ = ["KEYWORDS", "PERMUTATIONS", "TRANSFER_SYNTAX", "Tags", "Unit", "acquisition", "read_tags"]

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
    """Return the audit's ``Acquisition`` for all slices and the patient of each."""
    return confounding(slices, patients, labels, seed, (*KEYWORDS, TRANSFER_SYNTAX))
