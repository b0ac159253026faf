"""Age, sex, position and background: what is read of a slice, and that a class that it gives away is found."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from model_code.audit import person, position
from model_code.audit.background import KEYWORDS, read_background
from model_code.audit.confounding import Unit, confounding
from model_code.audit.document import SUBJECTS
from model_code.reading.elements import Elements, read_elements
from tests.model_code.conftest import make_slice

LABELS = ("normal", "cap", "covid")


def elements_of(**changes: object) -> Elements:
    return read_elements(make_slice(**changes), {*person.KEYWORDS, *position.KEYWORDS})


def test_age_and_sex_are_read_where_they_are_valid() -> None:
    assert person.read_person(elements_of(PatientSex="F", PatientAge="048Y")) == {"PatientSex": "F", "PatientAge": 48}
    born = elements_of(PatientSex="JANE", PatientAge=None, PatientBirthDate="19500301", StudyDate="20200229")
    assert person.read_person(born) == {"PatientAge": 69}
    nothing = elements_of(PatientSex=None, PatientAge=None, PatientBirthDate=None, StudyDate=None)
    assert person.read_person(nothing) == {}


def test_the_position_is_the_height_in_the_patient() -> None:
    found = position.read_position(
        elements_of(ImagePositionPatient=[-160.5, -290, -395.7], SliceLocation="12.5", InstanceNumber="7")
    )
    assert found == {"ImagePositionPatient": -395.7, "SliceLocation": 12.5, "InstanceNumber": 7}
    assert position.read_position(elements_of()) == {}


def test_the_background_is_what_lies_around_the_body() -> None:
    picture = np.full((128, 128), -1000, np.float32)
    picture[40:88, 40:88] = 50
    picture[120:124] = 100  # a table
    body = torch.zeros(64, 64)
    body[20:44, 20:44] = 1
    found = read_background(picture, body)
    assert set(found) == set(KEYWORDS)
    assert (found["BackgroundHU"], found["CornerHU"], found["BackgroundNoise"]) == (-1000, -1000, 0)
    assert found["BodyShare"] == pytest.approx(24 * 24 / 4096, abs=0.01)
    assert 0.03 < float(found["TableShare"]) < 0.05
    everywhere = read_background(picture, torch.ones(64, 64))
    assert set(everywhere) == {"BodyShare", "CornerHU"}


@pytest.mark.parametrize(
    ("subject", "telling"),
    [
        ("Person", {"PatientAge": (35.0, 55.0, 75.0)}),
        ("Person", {"PatientSex": ("F", "M", "O")}),
        ("Position", {"InstanceNumber": (20.0, 60.0, 100.0)}),
        ("Background", {"CornerHU": (-1000.0, -1024.0, -2000.0)}),
    ],
)
def test_a_class_that_it_gives_away_is_found(subject: str, telling: dict[str, tuple[str | float, ...]]) -> None:
    rng = np.random.default_rng(0)
    units, patients = [], []
    for patient in range(24):
        label = patient % 3
        header: dict[str, str | float] = {}
        for keyword, values in telling.items():
            value = values[label]
            header[keyword] = value if isinstance(value, str) else value + float(rng.integers(5))
        units.append(Unit({"InstanceNumber": float(rng.integers(150)), **header}, LABELS[label]))
        patients.append(str(patient))
    document = confounding(units, patients, LABELS, 0, SUBJECTS[subject])
    assert (document["BalancedAccuracy"] > 0.7, document["PValue"]) == (True, 0.001)
    assert document["Tags"][0]["Keyword"] in telling
    other = "Position" if subject != "Position" else "Person"
    assert confounding(units, patients, LABELS, 0, SUBJECTS[other])["PValue"] > 0.01


@pytest.mark.parametrize(("patients", "could_refuse"), [(2, False), (4, True), (30, True)])
def test_the_smallest_p_value_says_whether_anything_could_be_refused(patients: int, could_refuse: bool) -> None:
    rng = np.random.default_rng(1)
    units = [Unit({"KVP": float(rng.integers(3))}, label) for label in LABELS for _ in range(patients)]
    names = [str(number) for number in range(len(units))]
    found = confounding(units, names, LABELS, 0, SUBJECTS["Acquisition"])
    assert (found["AttainablePValue"] <= 0.01) == could_refuse
    assert found["PValue"] >= found["AttainablePValue"]


def test_no_person_shows_in_what_is_printed_of_a_unit() -> None:
    unit = Unit({"PatientAge": 48.0, "PatientSex": "F"}, "covid")
    assert "48" not in repr(unit)
    document = confounding([unit, unit, Unit({"PatientAge": 48.0}, "cap")], ["1", "2", "3"], LABELS, 0, person.COLUMNS)
    assert "48" not in json.dumps(document)
