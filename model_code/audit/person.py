"""Reads the patient's age and sex, only to measure how well they alone predict the class.

The values stay in the memory of the audit's job: its document, its log and its errors have figures over all patients.
"""

from __future__ import annotations

from model_code.audit.confounding import Tags
from model_code.evaluation import attributes
from model_code.evaluation.attributes import SEXES, age_in_years
from model_code.reading.elements import Elements

SEX, AGE = COLUMNS = ("PatientSex", "PatientAge")
KEYWORDS = tuple(keyword for keyword in attributes.KEYWORDS if keyword != "Manufacturer")


def read_person(elements: Elements) -> Tags:
    """Return sex and age (years) of one slice's patient, without what is absent or invalid."""
    tags: dict[str, str | float] = {}
    sex, age = elements.text(SEX).upper(), age_in_years(elements)
    if sex in SEXES:
        tags[SEX] = sex
    if age is not None:
        tags[AGE] = float(age)
    return tags
