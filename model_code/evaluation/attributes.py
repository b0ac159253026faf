"""Reads the subgroups of a slice: the patient's sex and decade of age, and the scanner's manufacturer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from model_code.reading.elements import Elements

KEYWORDS = ("PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "Manufacturer")
ATTRIBUTES = ("PatientSex", "AgeBand", "Manufacturer")
UNKNOWN = "unknown"
SEXES = frozenset({"F", "M", "O"})
AGE = re.compile(r"(\d{3})([DWMY])")
DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
# Makers of CT scanners, by the first words of their spellings. Any other text is OTHER: the attribute may hold even a
# person's name, and its values are subgroups in documents that people pass on.
MAKERS = (
    *("ACCURAY", "ANALOGIC", "ANKE", "ARINETA", "CANON", "CARESTREAM", "CURVEBEAM", "ELSCINT", "FUJI", "FUJIFILM"),
    *("GE", "GENERAL ELECTRIC", "HITACHI", "KONING", "MARCONI", "MINFOUND", "NEUROLOGICA", "NEUSOFT", "PHILIPS"),
    *("PICKER", "PLANMECA", "SAMSUNG", "SHIMADZU", "SIEMENS", "SINOVISION", "TOSHIBA", "UIH", "UNITED IMAGING"),
    *("VATECH", "XORAN", "PHANTOM MEDICAL", "SYNTHETIC IMAGING"),  # the last two are the demo's
)
OTHER = "other"
# Ages from 90 could identify a person, so they share one band.
OLDEST_BAND = 90


def read_attributes(elements: Elements) -> Mapping[str, str]:
    """Return the value of each of ATTRIBUTES, from a closed set; UNKNOWN if absent or invalid."""
    sex = elements.text("PatientSex").upper()
    return {
        "PatientSex": sex if sex in SEXES else UNKNOWN,
        "AgeBand": _age_band(elements),
        "Manufacturer": _maker(elements.text("Manufacturer")),
    }


def _maker(text: str) -> str:
    """Return the maker of a scanner; spellings differ in case and in everything after the first words."""
    words = " ".join(re.findall(r"[A-Z]+", text.upper()))
    known = (maker for maker in MAKERS if f"{words} ".startswith(f"{maker} "))
    return next(known, OTHER if text else UNKNOWN)


def _age_band(elements: Elements) -> str:
    years = age_in_years(elements)
    if years is None:
        return UNKNOWN
    decade = years // 10 * 10
    return f"{OLDEST_BAND}+" if decade >= OLDEST_BAND else f"{decade:02d}-{decade + 9:02d}"


def age_in_years(elements: Elements) -> int | None:
    """Return PatientAge in whole years, else the years between birth and study; None if neither is valid."""
    stated = AGE.fullmatch(elements.text("PatientAge"))
    if stated:
        return int(stated[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[stated[2]]
    born, studied = (DATE.fullmatch(elements.text(keyword)) for keyword in ("PatientBirthDate", "StudyDate"))
    if not born or not studied:
        return None
    (birth_year, *birthday), (year, *day) = ([int(part) for part in one.groups()] for one in (born, studied))
    years = year - birth_year - (day < birthday)
    return years if 0 <= years < 150 else None
