"""The split keeps whole patients together, has every class in every part, and depends only on seed and content."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain import seats
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import SplitBy
from functions.domain.split import Earlier, divide

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


@settings(deadline=None)
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


def in_test(divided: Iterable[LabelledSlice]) -> set[str]:
    return {one.patient for one in divided if one.split is Split.TEST}


def not_in_test(divided: Iterable[LabelledSlice]) -> set[str]:
    return {one.patient for one in divided if one.split is not Split.TEST}


def test_the_test_part_is_the_same_whatever_the_seed_and_only_the_others_are_divided_by_it() -> None:
    slices = cohort({"normal": 20, "cap": 9, "covid": 6})
    divided = [divide(slices, seed)[1] for seed in range(10)]
    assert len({frozenset(in_test(one)) for one in divided}) == 1
    assert len({frozenset(one.patient for one in few if one.split is Split.VALIDATION) for few in divided}) == 10


def test_the_same_slices_are_tested_whatever_the_seed_where_slices_are_divided() -> None:
    slices = cohort({"normal": 4, "cap": 2, "covid": 4}, slices=10)
    tested = [{one.content_sha256 for one in divide(slices, seed)[1] if one.split is Split.TEST} for seed in range(5)]
    assert all(one == tested[0] for one in tested)


cohort_sizes = st.lists(st.integers(6, 30), min_size=3, max_size=3)


@settings(deadline=None)
@given(
    before=cohort_sizes,
    more=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_a_tested_patient_stays_tested_and_a_trained_one_trained_however_the_cohort_grows(
    before: list[int], more: list[int], seeds: tuple[int, int]
) -> None:
    first = divide(cohort(dict(zip(LABELS, before, strict=True))), seeds[0])[1]
    earlier = Earlier(tested=frozenset(in_test(first)), trained=frozenset(not_in_test(first)))
    sizes = {label: one + added for label, one, added in zip(LABELS, before, more, strict=True)}
    grown = divide(cohort(sizes), seeds[1], earlier)[1]
    assert in_test(first) <= in_test(grown)
    assert not in_test(grown) & not_in_test(first)
    found = patients_of(grown)
    for label, count in sizes.items():
        assert abs(found[label, Split.TEST] - count * 0.2) <= 1.5
        assert found[label, Split.VALIDATION] >= 2
        assert found[label, Split.TRAIN] >= 2


@settings(deadline=None)
@given(patients=st.lists(st.sets(st.sampled_from(LABELS), min_size=1), min_size=20, max_size=50), data=st.data())
def test_of_patients_of_several_classes_those_who_were_tested_stay_so_in_any_other_cohort(
    patients: list[set[str]], data: st.DataObject
) -> None:
    slices = mixed(patients)
    everyone = sorted({one.patient for one in slices})
    tested = data.draw(st.sets(st.sampled_from(everyone), max_size=5))
    some = data.draw(st.sets(st.sampled_from(everyone), min_size=10))
    split_by, divided = divide([one for one in slices if one.patient in some], 0, Earlier(tested=frozenset(tested)))
    assert not not_in_test(divided) & tested, split_by


def test_trained_patients_are_tested_only_where_a_class_lacks_its_fewest() -> None:
    slices = cohort(dict.fromkeys(LABELS, 10))
    trained = {one.patient for one in slices} - {"normal-0", "cap-0", "cap-1", "cap-2", "cap-3", "cap-4", "covid-0"}
    divided = divide(slices, 0, Earlier(trained=frozenset(trained), tested=frozenset({"covid-0"})))[1]
    assert not lacking(divided, dict.fromkeys(LABELS, 2))
    tested = in_test(divided)
    assert {"normal-0", "covid-0"} < tested
    assert Counter(patient.partition("-")[0] for patient in tested & trained) == {"normal": 1, "covid": 1}
    assert len([patient for patient in tested if patient.startswith("cap")]) == 2


def test_a_patient_of_a_shared_study_is_tested_with_the_tested_one() -> None:
    slices = [
        replace(one, study_instance_uid="shared" if one.patient in {"cap-0", "cap-1"} else one.patient)
        for one in cohort(dict.fromkeys(LABELS, 6))
    ]
    divided = divide(slices, 0, Earlier(tested=frozenset({"cap-1"}), trained=frozenset({"cap-0"})))[1]
    assert {"cap-0", "cap-1"} <= in_test(divided)


@pytest.mark.parametrize("few", [1, 2])
def test_no_slice_of_a_tested_patient_is_trained_where_slices_are_divided(few: int) -> None:
    slices = cohort({"normal": 9, "cap": few, "covid": 9}, slices=10)
    split_by, divided = divide(slices, 0, Earlier(tested=frozenset({"cap-0", "normal-3"})))
    assert split_by is SplitBy.SLICE
    assert {one.split for one in divided if one.patient in {"cap-0", "normal-3"}} == {Split.TEST}


def test_a_cohort_of_tested_patients_alone_has_nobody_to_train_on() -> None:
    slices = cohort(dict.fromkeys(LABELS, 6))
    divided = divide(slices, 0, Earlier(tested=frozenset(one.patient for one in slices)))[1]
    assert {one.split for one in divided} == {Split.TEST}


def mixed(patients: Sequence[Collection[str]]) -> list[LabelledSlice]:
    """Return one slice of each class of each patient."""
    return [
        LabelledSlice(
            line=0,
            label=label,
            content_sha256=hashlib.sha256(f"{patient} {label}".encode()).hexdigest(),
            patient=str(patient),
            study_instance_uid=f"{patient}.1",
            series_instance_uid=f"{patient}.1.1",
        )
        for patient, labels in enumerate(patients)
        for label in sorted(labels)
    ]


def lacking(divided: Iterable[LabelledSlice], least: Mapping[str, int]) -> list[tuple[str, Split]]:
    """Return the classes and parts with fewer patients than ``least`` of that class."""
    found = Counter((label, part) for label, part, _ in {(one.label, one.split, one.patient) for one in divided})
    return [(label, part) for label in least for part in Split if found[label, part] < least[label]]


classes_of_patients = st.lists(st.sets(st.sampled_from(LABELS), min_size=1), min_size=9, max_size=60)


@settings(deadline=None)
@given(patients=classes_of_patients, seed=st.integers(0, 2**32 - 1))
def test_patients_of_several_classes_are_divided_whole_and_count_for_each(patients: list[set[str]], seed: int) -> None:
    slices = mixed(patients)
    counts = Counter(label for labels in patients for label in labels)
    split_by, divided = divide(slices, seed)
    assert (split_by is SplitBy.SLICE) == (min(counts.values()) < 3)
    assert [replace(one, split=None) for one in divided] == slices
    assert divide(slices[::-1], seed)[1][::-1] == divided
    if split_by is SplitBy.SLICE:
        return
    assert len({(one.patient, one.split) for one in divided}) == len(patients)
    assert not lacking(divided, {label: 2 if count >= 6 else 1 for label, count in counts.items()})
    for part in Split:
        size = len({one.patient for one in divided if one.split is part})
        share = 0.6 if part is Split.TRAIN else 0.2
        assert abs(size - share * len(patients)) <= 2 * len(LABELS) + 0.05 * len(patients)


@pytest.mark.parametrize("seed", range(60))
def test_parts_and_classes_of_larger_cohorts_have_their_shares(seed: int) -> None:
    generator = random.Random(seed)
    classes = "abcdef"[: generator.randint(2, 6)]
    often = {label: generator.random() for label in classes}
    patients = [
        {label for label in classes if generator.random() < often[label]} or {generator.choice(classes)}
        for _ in range(generator.randint(60, 300))
    ]
    for label in classes:
        patients += [{label}] * 3
    divided = divide(mixed(patients), seed)[1]
    for label in (*classes, None):
        ones = [one for one in divided if label in {one.label, None}]
        count = len({one.patient for one in ones})
        for part in Split:
            size = len({one.patient for one in ones if one.split is part})
            share = 0.6 if part is Split.TRAIN else 0.2
            assert abs(size - share * count) <= 2 + 0.05 * count, (label, part)


@settings(deadline=None)
@given(patients=st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=3, max_size=7))
def test_each_class_is_in_each_part_if_any_division_of_the_patients_has_that(patients: list[set[str]]) -> None:
    slices = mixed(patients)
    counts = Counter(label for labels in patients for label in labels)
    split_by, divided = divide(slices, 0)
    if split_by is SplitBy.SLICE or not lacking(divided, dict.fromkeys(counts, 1)):
        return
    for parts in itertools.product(Split, repeat=len(patients)):
        other = [replace(one, split=parts[int(one.patient)]) for one in slices]
        assert lacking(other, dict.fromkeys(counts, 1))


def test_four_patients_too_few_for_three_classes_are_divided_whole_with_one_gap() -> None:
    slices = mixed([{"normal", "cap", "covid"}, {"normal", "cap"}, {"normal", "covid"}, {"cap", "covid"}])
    split_by, divided = divide(slices, 0)
    assert split_by is SplitBy.PATIENT
    assert len(lacking(divided, dict.fromkeys(LABELS, 1))) == 1


def test_forty_patients_with_slices_of_the_same_two_classes_are_divided_by_patient() -> None:
    slices = mixed([{"normal", "cap"}] * 40)
    more = [replace(one, content_sha256=one.content_sha256[::-1]) for one in slices if one.label == "cap"]
    split_by, divided = divide(slices + more, 0)
    assert split_by is SplitBy.PATIENT
    assert [len({one.patient for one in divided if one.split is part}) for part in Split] == [24, 8, 8]


def test_a_class_that_is_the_main_one_of_no_patient_is_divided_by_patient() -> None:
    patients = [{"normal"}] * 9 + [{"cap"}] * 9 + [{"normal", "covid"}] * 4
    split_by, divided = divide(mixed(patients), 0)
    assert split_by is SplitBy.PATIENT
    assert not lacking(divided, {"normal": 2, "cap": 2, "covid": 1})


def test_another_seed_divides_patients_that_all_differ_in_their_classes_otherwise() -> None:
    patients = [{"abcdefgh"[bit] for bit in range(8) if number >> bit & 1} for number in range(1, 256)]
    slices = mixed(patients)
    assert parts_of(divide(slices, 0)[1]) != parts_of(divide(slices, 1)[1])


def test_a_class_of_two_patients_of_several_classes_is_divided_by_slice() -> None:
    split_by, _ = divide(mixed([{"normal", "cap"}] * 9 + [{"normal", "covid"}] * 2), 0)
    assert split_by is SplitBy.SLICE


def test_a_search_for_a_division_ends_however_many_classes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is given up still divides by whole patients."""
    monkeypatch.setattr(seats, "MOST_STEPS", 50)
    labels = [f"class-{number}" for number in range(40)]
    lines = [{labels[number], labels[(number + 1) % 40], labels[(number + 3) % 40]} for number in range(40)]
    split_by, divided = divide(mixed(lines), 0)
    assert split_by is SplitBy.PATIENT
    assert len({(one.patient, one.split) for one in divided}) == len(lines)
