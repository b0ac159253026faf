"""No patient on both sides, and no validation where it would be a lie."""

from __future__ import annotations

import pytest

from model_code.split import split_by_patient

PATIENTS = [f"p{number}" for number in range(30) for _ in range(3)]
LABELS = [("a", "b", "c")[number % 3] for number in range(30) for _ in range(3)]


def test_patients_are_whole_and_every_class_is_on_both_sides() -> None:
    split = split_by_patient(PATIENTS, LABELS, seed=0)
    sides = [{PATIENTS[index] for index in side} for side in (split.training, split.validation)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 6
    assert sorted((*split.training, *split.validation)) == list(range(90))
    assert {LABELS[index] for index in split.validation} == {LABELS[index] for index in split.training} == set("abc")


def test_the_seed_decides() -> None:
    splits = [split_by_patient(PATIENTS, LABELS, seed) for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


@pytest.mark.parametrize("labels", [["a", "a", "b", "b"], ["a", "b", "a", "a"]])
def test_a_class_of_one_patient_leaves_nothing_to_validate_on(labels: list[str]) -> None:
    split = split_by_patient(["p", "p", "q", "r"], labels, seed=0)
    assert (split.training, split.validation) == ((0, 1, 2, 3), ())
    assert "fewer than two patients with" in split.reason
