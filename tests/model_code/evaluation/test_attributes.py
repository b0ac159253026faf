"""Subgroups from tags that are present, absent or invalid."""

from __future__ import annotations

import pytest

from model_code.evaluation.attributes import ATTRIBUTES, KEYWORDS, read_attributes
from model_code.reading.elements import read_elements
from tests.model_code.conftest import make_slice


def attributes(**changes: str | None) -> tuple[str, ...]:
    found = read_attributes(read_elements(make_slice(**changes), KEYWORDS))
    assert tuple(found) == ATTRIBUTES
    return tuple(found.values())


def test_what_is_there_is_read() -> None:
    assert attributes(PatientSex="F", PatientAge="064Y", Manufacturer="Siemens  Healthineers ") == (
        "F",
        "60-69",
        "SIEMENS",
    )


def test_what_is_absent_or_invalid_is_unknown() -> None:
    assert attributes() == ("unknown", "unknown", "unknown")
    assert attributes(PatientSex="X", PatientAge=None, Manufacturer="") == ("unknown", "unknown", "unknown")


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("GE", "GE"),
        ("Philips", "PHILIPS"),
        ("Canon Medical Systems Corp.", "CANON"),
        ("TOSHIBA_MEC", "TOSHIBA"),
        ("GERDA MUSTER", "other"),
        ("Muster^Gerda 1961-01-01", "other"),
        ("4711", "other"),
        ("MUSTER " * 9, "other"),
    ],
)
def test_a_manufacturer_is_a_known_maker_or_no_text_of_the_object(text: str, maker: str) -> None:
    assert attributes(Manufacturer=text)[2] == maker


@pytest.mark.parametrize(
    ("age", "band"),
    [("009Y", "00-09"), ("010Y", "10-19"), ("023M", "00-09"), ("110W", "00-09"), ("089Y", "80-89"), ("090Y", "90+")],
)
def test_ages_fall_into_decades(age: str, band: str) -> None:
    assert attributes(PatientAge=age)[1] == band


@pytest.mark.parametrize(
    ("born", "studied", "band"),
    [
        ("19600301", "20200229", "50-59"),  # the day before the sixtieth birthday
        ("19600301", "20200301", "60-69"),
        ("19000101", "20200101", "90+"),
        ("20200101", "19600101", "unknown"),
        ("19600301", None, "unknown"),
        ("", "20200301", "unknown"),
    ],
)
def test_without_an_age_it_is_the_time_from_birth_to_study(born: str, studied: str | None, band: str) -> None:
    assert attributes(PatientBirthDate=born, StudyDate=studied)[1] == band
