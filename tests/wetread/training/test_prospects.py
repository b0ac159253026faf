"""Before a run is paid for, people read what so many patients can show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from functions.domain.promotion import Thresholds
from tests.fakes.dicom import ct
from tests.fakes.workflow import LABELS, entry
from wetread.deployment import Hosts
from wetread.training import cohorts
from wetread.training.prospects import cost_of_folds, prospects


def said_of(
    folder: Path, patients: int, slices: int = 2, folds: int = 0, asks: Thresholds | None = None, **more: str
) -> str:
    """What is said of a cohort with so many patients of each class."""
    entries = []
    for label in LABELS:
        for patient in range(patients):
            for one in range(slices):
                name = f"{label}-{patient}-{one}.dcm"
                (folder / name).write_bytes(ct(PatientID=f"{label}-{patient}", SOPInstanceUID=f"1.2.{len(entries)}"))
                entries.append(entry(name, label, **more))
    (folder / "manifest.json").write_text(json.dumps(entries))
    return " ".join(prospects(cohorts.read(folder), folds, asks))


def test_patients_are_counted_not_slices_and_a_fifth_of_them_is_tested(tmp_path: Path) -> None:
    assert "cap 8, covid 8, normal 8 (about)" in said_of(tmp_path, patients=40)


def test_the_power_is_said_for_the_size_of_this_run(tmp_path: Path) -> None:
    said = said_of(tmp_path, patients=50)
    assert "at least 9 test patients of each class" in said
    assert "the gate passes a candidate that is: as good" in said
    assert "--accept-risk TooFewToCompare" in said


def test_the_stages_own_thresholds_are_those_that_are_spoken_of(tmp_path: Path) -> None:
    said = said_of(tmp_path, patients=50, slices=1, asks=Thresholds(champion_margin=0.2, min_sensitivity=0.7))
    assert "passes this stage's thresholds only with at least 12 test patients of each class" in said
    assert "at this stage's margin of 0.2" in said
    assert "default" not in said
    said = said_of(tmp_path, patients=50, slices=1)
    assert "passes the default thresholds only with at least 9" in said
    assert "at the default margin of 0.05" in said


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        (Thresholds(min_sensitivity=1.0), "No number of patients lets a first model pass this stage's thresholds"),
        (Thresholds(lower_bound=False), "passes this stage's thresholds by its figures alone"),
        (Thresholds(champion_margin=0.0), "No number of patients lets a model pass against a champion"),
    ],
)
def test_thresholds_that_no_number_of_patients_or_any_number_reaches_are_said_to_be_so(
    tmp_path: Path, asks: Thresholds, expected: str
) -> None:
    assert expected in said_of(tmp_path, patients=20, slices=1, asks=asks)


def test_with_a_split_of_their_own_its_test_part_counts(tmp_path: Path) -> None:
    assert "cap 10, covid 10, normal 10" in said_of(tmp_path, patients=10, slices=1, split="test")


def test_by_folds_every_patient_is_tested_and_a_cohort_of_a_few_tells_something(tmp_path: Path) -> None:
    said = said_of(tmp_path, patients=12, slices=1, folds=5)
    assert "each tested once in one of 5 folds: cap 12, covid 12, normal 12." in said
    assert "the gate passes a candidate that is: as good" in said


def test_fewer_patients_than_folds_are_named_as_too_few(tmp_path: Path) -> None:
    assert said_of(tmp_path, patients=4, slices=1, folds=5).endswith("some fold would have none of it.")


def test_a_price_that_is_not_known_is_not_said() -> None:
    hosts = [Hosts(usage="spot training job", instance_type="ml.g5.xlarge", of_one=2, jobs=1)]
    said = cost_of_folds(3, hosts)
    assert "the training job on 2 ml.g5.xlarge trains 4 models" in said
    assert "USD" not in said


@pytest.mark.parametrize(("patients", "expected"), [(6, "too few to say anything"), (25, "at least 7 test patients")])
def test_a_cohort_on_which_nothing_can_pass_is_named_as_such(tmp_path: Path, patients: int, expected: str) -> None:
    said = said_of(tmp_path, patients, slices=1)
    assert expected in said
    assert "%" not in said
