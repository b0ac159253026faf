"""The data gate's audit finds what it promises: measured on phantoms, and on real slices where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from assurance.data_gate.changed import CHANGES
from assurance.data_gate.cohorts import refused
from assurance.data_gate.pictures import Shown, copies_found, phantoms, real, second_ids_found, strangers_accused
from model_code.audit.likeness import Likeness, likeness

SEED = 7

pytestmark = pytest.mark.check

Slices = tuple[list[Shown], list[Likeness | None]]


def seen(shown: list[Shown]) -> Slices:
    return shown, [likeness(one.hounsfield) for one in shown]


@pytest.fixture(scope="module")
def made() -> Slices:
    return seen(phantoms(patients=12, slices=2, size=160, seed=SEED))


@pytest.fixture(scope="module")
def public(real_slices: list[Path]) -> Slices:
    return seen(real(real_slices[0].parent))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_a_real_slice_is_found_and_no_stranger_is_accused(change: str, public: Slices) -> None:
    found, accused = copies_found(*public, CHANGES[change])
    assert found >= 0.95
    assert accused == 0


@pytest.mark.parametrize("change", ["mirrored", "rotated by 5", "cropped by 5 %", "soft window"])
def test_a_changed_copy_of_a_phantom_is_found_and_no_stranger_is_accused(change: str, made: Slices) -> None:
    found, accused = copies_found(*made, CHANGES[change])
    assert found >= 0.95
    assert accused == 0


def test_no_two_real_patients_are_taken_for_one(public: Slices) -> None:
    assert strangers_accused(*public)[0] == 0


def test_no_two_phantoms_are_taken_for_one_although_the_test_part_is_a_single_slice(made: Slices) -> None:
    assert strangers_accused(*made)[0] == 0
    assert strangers_accused(*seen(phantoms(patients=12, slices=1, size=160, seed=SEED + 3)))[0] == 0


def test_one_real_patient_under_two_ids_is_found(public: Slices) -> None:
    found = second_ids_found(*public, each=5, deals=10, seed=SEED)
    assert max(each for each, _, _ in found.values()) == 5
    assert all(accused == 0 for _, _, accused in found.values())
    assert max((each, share) for each, share, _ in found.values())[1] >= 0.8, found


def test_a_cohort_of_two_patients_a_class_is_called_underpowered() -> None:
    assert refused("a scanner for each class", 2, 2, SEED) == (0.0, 1.0)


def test_what_tells_the_classes_apart_is_refused_and_a_sound_cohort_is_not() -> None:
    for cohort in ("a scanner for each class", "age 40, 55, 70 (SD 12)", "level apart by 2 SD"):
        assert refused(cohort, 20, 1, SEED) == (1.0, 0.0)
    assert refused("sound", 12, 5, SEED)[0] <= 0.2
