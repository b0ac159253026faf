"""The split keeps whole patients together, has every class in every part, and depends only on seed and content."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import SplitBy
from functions.domain.split import divide

LABELS = ("normal", "cap", "covid")


def cohort(patients: dict[str, int], slices: int = 2) -> list[LabelledSlice]:
    """Return so many patients of each class, each with one study of so many slices."""
    return [
        LabelledSlice(
            line=0,
            label=label,
            content_sha256=hashlib.sha256(f"{label} {patient} {number}".encode()).hexdigest(),
            patient=f"{label}-{patient}",
            study_instance_uid=f"{label}-{patient}.1",
            series_instance_uid=f"{label}-{patient}.1.1",
        )
        for label, count in patients.items()
        for patient in range(count)
        for number in range(slices)
    ]


def patients_of(divided: list[LabelledSlice]) -> Counter[tuple[str, Split | None]]:
    return Counter((label, part) for label, part, _ in {(one.label, one.split, one.patient) for one in divided})


def parts_of(divided: list[LabelledSlice]) -> dict[str, Split | None]:
    return {one.content_sha256: one.split for one in divided}


@given(counts=st.lists(st.integers(3, 40), min_size=3, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_no_patient_is_on_two_sides_and_each_class_is_in_each_part(counts: list[int], seed: int) -> None:
    slices = cohort(dict(zip(LABELS, counts, strict=True)))
    split_by, divided = divide(slices, seed)
    assert split_by is SplitBy.PATIENT
    assert [replace(one, split=None) for one in divided] == slices
    sides = defaultdict(set)
    for one in divided:
        sides[one.patient].add(one.split)
    assert all(len(side) == 1 for side in sides.values())
    found = patients_of(divided)
    for label, count in zip(LABELS, counts, strict=True):
        for part in Split:
            assert found[label, part] >= (2 if count >= 6 else 1)
        held_out = found[label, Split.TEST]
        assert held_out == found[label, Split.VALIDATION]
        assert abs(held_out - count * 0.2) <= 1


def test_sixty_twenty_twenty() -> None:
    found = patients_of(divide(cohort({"normal": 50, "cap": 10, "covid": 6}), 0)[1])
    assert [found["normal", part] for part in Split] == [30, 10, 10]
    assert [found["cap", part] for part in Split] == [6, 2, 2]
    assert [found["covid", part] for part in Split] == [2, 2, 2]


def test_the_same_seed_divides_alike_whatever_the_manifests_order() -> None:
    slices = cohort(dict.fromkeys(LABELS, 12))
    parts = parts_of(divide(slices, 3)[1])
    shuffled = random.Random(1).sample(slices, len(slices))
    assert parts_of(divide(shuffled, 3)[1]) == parts
    assert parts_of(divide(slices, 4)[1]) != parts


def test_a_shared_study_or_series_joins_patients() -> None:
    slices = cohort(dict.fromkeys(LABELS, 6), slices=1)
    joined = [
        replace(one, study_instance_uid="shared" if one.patient in {"cap-0", "cap-1"} else one.patient)
        for one in slices
    ]
    joined = [
        replace(one, series_instance_uid="same" if one.patient in {"cap-1", "cap-2"} else one.patient) for one in joined
    ]
    for seed in range(20):
        divided = divide(joined, seed)[1]
        assert len({one.split for one in divided if one.patient in {"cap-0", "cap-1", "cap-2"}}) == 1


@pytest.mark.parametrize("few", [1, 2])
def test_too_few_patients_are_divided_by_slice(few: int) -> None:
    split_by, divided = divide(cohort({"normal": 9, "cap": few, "covid": 9}, slices=10), 0)
    assert split_by is SplitBy.SLICE
    counts = Counter((one.label, one.split) for one in divided)
    assert [counts["cap", part] for part in Split] == [few * 6, few * 2, few * 2]


def test_a_class_that_is_the_main_one_of_no_group_is_divided_by_slice() -> None:
    slices = cohort({"normal": 9, "cap": 9}, slices=4)
    hidden = [replace(one, label="covid", content_sha256="f" + one.content_sha256[1:]) for one in slices[::4]]
    assert divide(slices + hidden, 0)[0] is SplitBy.SLICE
