"""Every patient is tested once: folds by whole patients, for good, with every class trained on in each."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import pytest

from functions.domain import folds as folding
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Snapshot, SplitBy
from functions.domain.verdict import Places, Risk

LABELS = ("normal", "cap", "covid")


def cohort(per_class: int, slices: int = 2, first: int = 0) -> list[LabelledSlice]:
    return [
        one_slice(f"{label}-{patient}", label, number)
        for label in LABELS
        for patient in range(first, first + per_class)
        for number in range(slices)
    ]


def one_slice(patient: str, label: str, number: int = 0, study: str = "") -> LabelledSlice:
    return LabelledSlice(
        line=1,
        label=label,
        content_sha256=f"{patient}-{number}-{label}",
        study_instance_uid=study or patient,
        series_instance_uid=study or patient,
        patient=patient,
    )


def fold_of(slices: list[LabelledSlice]) -> dict[str, int]:
    return {one.patient: one.fold for one in slices}


def snapshot(slices: list[LabelledSlice], folds: int) -> Snapshot:
    return Snapshot(
        digest="",
        places=Places(),
        labels=LABELS,
        split_by=SplitBy.PATIENT,
        slices=tuple(slices),
        folds=folds,
    )


@pytest.mark.parametrize("folds", range(3, 11))
def test_every_patient_is_in_one_fold_and_every_class_is_dealt_evenly(folds: int) -> None:
    for per_class in (max(folds, 6), 12, 23):
        divided = folding.divide(cohort(per_class), folds, 3, {})
        assert {one.fold for one in divided} == set(range(1, folds + 1))
        patients = defaultdict(set)
        for one in divided:
            patients[one.label, one.fold].add(one.patient)
            assert one.split in (Split.TRAIN, Split.VALIDATION)
        assert all(len({one.fold for one in divided if one.patient == name}) == 1 for name in fold_of(divided))
        for label in LABELS:
            counts = [len(patients[label, fold]) for fold in range(1, folds + 1)]
            assert max(counts) - min(counts) <= 1
        assert not folding.too_few(snapshot(divided, folds))


@pytest.mark.parametrize("folds", range(3, 11))
def test_the_number_that_a_refusal_calls_enough_is_enough_whatever_the_seed_and_the_order(folds: int) -> None:
    enough = max(folds, 5)
    for seed in range(20):
        slices = cohort(enough)
        random.Random(seed).shuffle(slices)
        assert not folding.too_few(snapshot(folding.divide(slices, folds, seed, {}), folds))
        few = folding.divide(cohort(enough - 1), folds, seed, {})
        reasons = folding.too_few(snapshot(few, folds))
        assert {reason.code for reason in reasons} == {Risk.TOO_FEW_PATIENTS}
        assert len(reasons) == 3
        assert f"There are {enough - 1} patient(s) with normal for {folds} folds." in reasons[0].message
        assert f"{enough} new patients of each class are enough" in reasons[0].message


def test_the_seed_marks_the_validation_part_alone_and_the_order_of_the_labels_nothing() -> None:
    first = folding.divide(cohort(10), 5, 0, {})
    other = folding.divide(cohort(10), 5, 1, {})
    turned = folding.divide(cohort(10)[::-1], 5, 0, {})
    assert fold_of(first) == fold_of(other) == fold_of(turned)
    held_out = [{one.patient for one in some if one.split is Split.VALIDATION} for some in (first, other)]
    assert held_out[0] != held_out[1]
    for label in LABELS:
        chosen = {one.fold for one in first if one.label == label and one.split is Split.VALIDATION}
        assert len(chosen) == 2


def test_a_fold_is_for_good_and_new_patients_enter_the_emptiest() -> None:
    before = fold_of(folding.divide(cohort(7), 5, 0, {}))
    grown = folding.divide(cohort(13), 5, 9, before)
    assert before.items() <= fold_of(grown).items()
    for label in LABELS:
        counts = [len({one.patient for one in grown if (one.label, one.fold) == (label, fold)}) for fold in range(1, 6)]
        assert sorted(counts) == [2, 2, 3, 3, 3]


def test_patients_who_share_a_study_stay_together_also_where_their_records_differ() -> None:
    slices = [*cohort(6), one_slice("a", "cap", study="shared"), one_slice("b", "covid", study="shared")]
    found = fold_of(folding.divide(slices, 3, 0, {"a": 3, "b": 1}))
    assert found["a"] == found["b"] in (1, 3)
    assert found == fold_of(folding.divide(slices[::-1], 3, 0, {"a": 3, "b": 1}))


def test_a_record_of_another_number_of_folds_is_not_followed() -> None:
    assert set(fold_of(folding.divide(cohort(6), 2, 0, {"cap-1": 7})).values()) == {1, 2}


def test_patients_of_several_classes_count_for_each() -> None:
    slices = list(itertools.chain(*([one_slice(f"p{n}", "normal"), one_slice(f"p{n}", "cap", 1)] for n in range(10))))
    slices += [one_slice(f"q{n}", "covid") for n in range(5)]
    divided = folding.divide(slices, 5, 0, {})
    assert not folding.too_few(snapshot(divided, 5))
    assert len({one.patient for one in divided if one.label == "cap" and one.split is Split.VALIDATION}) == 2
