"""Reads where in the scan a slice lies: a class of which all slices lie at the base of the lungs teaches the level."""

from __future__ import annotations

import math

from model_code.audit.confounding import Tags
from model_code.reading.elements import Elements
from model_code.reading.hounsfield import decimal

KEYWORDS = ("ImagePositionPatient", "SliceLocation", "InstanceNumber")


def read_position(elements: Elements) -> Tags:
    """Return height along the patient (mm, of ImagePositionPatient), slice location (mm) and number in the series."""
    values = elements.text("ImagePositionPatient").split("\\")
    texts = {
        "ImagePositionPatient": values[2] if len(values) == 3 else "",
        "SliceLocation": elements.text("SliceLocation"),
        "InstanceNumber": elements.text("InstanceNumber"),
    }
    numbers = {keyword: decimal(text.strip()) for keyword, text in texts.items()}
    return {keyword: value for keyword, value in numbers.items() if math.isfinite(value)}
