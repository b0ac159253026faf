"""Which subgroup a slice belongs to: the patient's sex and decade of age, and the scanner's manufacturer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from model_code.elements import Elements

KEYWORDS = ("PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "Manufacturer")
ATTRIBUTES = ("PatientSex", "AgeBand", "Manufacturer")
UNKNOWN = "unknown"
SEXES = frozenset({"F", "M", "O"})
AGE = re.compile(r"(\d{3})([DWMY])")
DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
# Ages from 90 could name a person, so they share one band.
OLDEST_BAND = 90


def read_attributes(elements: Elements) -> Mapping[str, str]:
    """The value of each of ATTRIBUTES; an absent or invalid one is UNKNOWN."""
    sex = elements.text("PatientSex").upper()
    return {
        "PatientSex": sex if sex in SEXES else UNKNOWN,
        "AgeBand": _age_band(elements),
        # Writers disagree about the case of their own name.
        "Manufacturer": " ".join(elements.text("Manufacturer").upper().split()) or UNKNOWN,
    }


def _age_band(elements: Elements) -> str:
    years = _age_in_years(elements)
    if years is None:
        return UNKNOWN
    decade = years // 10 * 10
    return f"{OLDEST_BAND}+" if decade >= OLDEST_BAND else f"{decade:02d}-{decade + 9:02d}"


def _age_in_years(elements: Elements) -> int | None:
    """PatientAge, else the years between birth and study; None when neither is valid."""
    stated = AGE.fullmatch(elements.text("PatientAge"))
    if stated:
        return int(stated[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[stated[2]]
    born, studied = (DATE.fullmatch(elements.text(keyword)) for keyword in ("PatientBirthDate", "StudyDate"))
    if not born or not studied:
        return None
    (birth_year, *birthday), (year, *day) = ([int(part) for part in one.groups()] for one in (born, studied))
    years = year - birth_year - (day < birthday)
    return years if 0 <= years < 150 else None
