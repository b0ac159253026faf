"""The split keeps whole patients together, has every class in every part, and is the seed's alone."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.snapshot import Split, SplitBy
from functions.domain.split import Labelled, divide

LABELS = ("normal", "cap", "covid")


def cohort(patients: dict[str, int], slices: int = 2) -> list[Labelled]:
    """So many patients of each class, each with one study of so many slices."""
    return [
        Labelled(
            content_sha256=hashlib.sha256(f"{label} {patient} {number}".encode()).hexdigest(),
            label=label,
            patient=f"{label}-{patient}",
            study_instance_uid=f"{label}-{patient}.1",
            series_instance_uid=f"{label}-{patient}.1.1",
        )
        for label, count in patients.items()
        for patient in range(count)
        for number in range(slices)
    ]


def patients_of(slices: list[Labelled], parts: list[Split]) -> Counter[tuple[str, Split]]:
    return Counter(
        (label, part) for label, part, _ in {(s.label, p, s.patient) for s, p in zip(slices, parts, strict=True)}
    )


@given(counts=st.lists(st.integers(3, 40), min_size=3, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_no_patient_is_on_two_sides_and_each_class_is_in_each_part(counts: list[int], seed: int) -> None:
    slices = cohort(dict(zip(LABELS, counts, strict=True)))
    split_by, parts = divide(slices, seed)
    assert split_by is SplitBy.PATIENT
    sides = defaultdict(set)
    for one, part in zip(slices, parts, strict=True):
        sides[one.patient].add(part)
    assert all(len(side) == 1 for side in sides.values())
    found = patients_of(slices, parts)
    for label, count in zip(LABELS, counts, strict=True):
        for part in Split:
            assert found[label, part] >= (2 if count >= 6 else 1)
        held_out = found[label, Split.TEST]
        assert held_out == found[label, Split.VALIDATION]
        assert abs(held_out - count * 0.2) <= 1


def test_sixty_twenty_twenty() -> None:
    slices = cohort({"normal": 50, "cap": 10, "covid": 6})
    found = patients_of(slices, divide(slices, 0)[1])
    assert [found["normal", part] for part in Split] == [30, 10, 10]
    assert [found["cap", part] for part in Split] == [6, 2, 2]
    assert [found["covid", part] for part in Split] == [2, 2, 2]


def test_the_same_seed_divides_alike_whatever_the_manifests_order() -> None:
    slices = cohort(dict.fromkeys(LABELS, 12))
    parts = dict(zip(slices, divide(slices, 3)[1], strict=True))
    shuffled = random.Random(1).sample(slices, len(slices))
    assert dict(zip(shuffled, divide(shuffled, 3)[1], strict=True)) == parts
    assert dict(zip(slices, divide(slices, 4)[1], strict=True)) != parts


def test_a_shared_study_or_series_joins_patients() -> None:
    slices = cohort(dict.fromkeys(LABELS, 6), slices=1)
    joined = [
        Labelled(**{**vars(one), "study_instance_uid": "shared" if one.patient in {"cap-0", "cap-1"} else one.patient})
        for one in slices
    ]
    joined = [
        Labelled(**{**vars(one), "series_instance_uid": "same" if one.patient in {"cap-1", "cap-2"} else one.patient})
        for one in joined
    ]
    for seed in range(20):
        parts = divide(joined, seed)[1]
        assert (
            len({part for one, part in zip(joined, parts, strict=True) if one.patient in {"cap-0", "cap-1", "cap-2"}})
            == 1
        )


@pytest.mark.parametrize("few", [1, 2])
def test_too_few_patients_are_divided_by_slice(few: int) -> None:
    slices = cohort({"normal": 9, "cap": few, "covid": 9}, slices=10)
    split_by, parts = divide(slices, 0)
    assert split_by is SplitBy.SLICE
    counts = Counter((one.label, part) for one, part in zip(slices, parts, strict=True))
    assert [counts["cap", part] for part in Split] == [few * 6, few * 2, few * 2]


def test_a_class_that_is_no_groups_main_one_is_divided_by_slice() -> None:
    slices = cohort({"normal": 9, "cap": 9}, slices=4)
    hidden = [Labelled(**{**vars(one), "label": "covid"}) for one in slices[::4]]
    assert (
        divide(
            slices + [Labelled(**{**vars(one), "content_sha256": "f" + one.content_sha256[1:]}) for one in hidden], 0
        )[0]
        is SplitBy.SLICE
    )
