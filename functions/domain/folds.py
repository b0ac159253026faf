"""Divides labelled slices into folds for small cohorts: every patient is tested once, by a model that never saw them.

A patient's fold is for good, like a test part: what is recorded stays, and new patients enter the emptiest fold of
their rarest class in the order of their keyed hashes. So nobody chooses who is tested with whom. The seed marks the
validation part alone. It is the same for the model of all patients and, less the fold itself, for each fold's model:
so all are trained alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Snapshot
from functions.domain.split import HELD_OUT, connected, order_of
from functions.domain.verdict import Reason, Risk

FEWEST_FOLDS, MOST_FOLDS = 3, 10  # two models are too few to say how good a training is
FEWEST_IN_TRAINING = 2  # patients of a class that each fold's model is trained on: with one the patient is the class
ENOUGH = 5  # patients of a class, for any number of folds up to that
FOR_TWO_IN_VALIDATION = 4  # patients of a class; so one is left where the other is tested


@dataclass(frozen=True)
class _Group:
    """Slices (their indices) that stay together, their classes, and their place in the order of keyed hashes."""

    indices: tuple[int, ...]
    labels: tuple[str, ...]
    patients: frozenset[str]
    order: str


def divide(slices: Sequence[LabelledSlice], folds: int, seed: int, recorded: Mapping[str, int]) -> list[LabelledSlice]:
    """Return the slices, each with its fold, and with training or validation as its part in the model of all.

    ``recorded`` are folds of patients (keyed hashes) in earlier runs. The same input has the same result.
    """
    totals: Counter[str] = Counter()
    groups = []
    for indices in connected(slices):
        labels = {slices[index].label for index in indices}
        patients = frozenset(slices[index].patient for index in indices)
        totals.update(labels)
        groups.append(_Group(tuple(indices), tuple(labels), patients, order_of(patients)))
    groups = [replace(one, labels=tuple(sorted(one.labels, key=lambda of: (totals[of], of)))) for one in groups]
    groups.sort(key=lambda one: (totals[one.labels[0]], one.order))
    fold_of = _folds(groups, folds, recorded)
    held_out = _validation(groups, fold_of, totals, seed)
    found = list(slices)
    for number, group in enumerate(groups):
        part = Split.VALIDATION if number in held_out else Split.TRAIN
        for index in group.indices:
            found[index] = replace(slices[index], split=part, fold=fold_of[number])
    return found


def too_few(snapshot: Snapshot) -> list[Reason]:
    """Return a reason for each class with fewer patients than folds, or too few for the model of some fold."""
    enough = max(snapshot.folds, ENOUGH)
    found = []
    for label in snapshot.labels:
        ones = [one for one in snapshot.slices if one.label == label]
        patients = len({one.patient for one in ones})
        left = [
            {part: len({one.patient for one in ones if one.split is part and one.fold != fold}) for part in Split}
            for fold in range(1, snapshot.folds + 1)
        ]
        trained, validated = (min(one[part] for one in left) for part in (Split.TRAIN, Split.VALIDATION))
        if patients >= snapshot.folds and trained >= FEWEST_IN_TRAINING and validated:
            continue
        message = (
            f"There are {patients} patient(s) with {label} for {snapshot.folds} folds. The model of a fold would have "
            f"{trained} of them to be trained on and {validated} to choose its epoch by; it takes at least "
            f"{FEWEST_IN_TRAINING} and 1. {enough} new patients of each class are enough for that."
        )
        found.append(Reason(code=Risk.TOO_FEW_PATIENTS, message=message))
    return found


def _folds(groups: Sequence[_Group], folds: int, recorded: Mapping[str, int]) -> list[int]:
    """Return the fold of each group: the one that its patients have, or else the emptiest of its rarest class."""
    fold_of = [_recorded(group, folds, recorded) for group in groups]
    of_class = Counter((label, fold) for group, fold in zip(groups, fold_of, strict=True) for label in group.labels)
    in_all = Counter(fold_of)
    for number, group in enumerate(groups):
        if not fold_of[number]:
            fold = min(
                range(1, folds + 1),
                key=lambda one: ([of_class[label, one] for label in group.labels], in_all[one], one),
            )
            fold_of[number] = fold
            of_class.update((label, fold) for label in group.labels)
            in_all[fold] += 1
    return fold_of


def _recorded(group: _Group, folds: int, recorded: Mapping[str, int]) -> int:
    """Return the fold that a group has, 0 for none; of patients with several the first in the order of hashes counts.

    Patients get into one group when a study or a series of both is found.
    """
    known = [one for one in group.patients if 0 < recorded.get(one, 0) <= folds]
    return recorded[min(known, key=lambda one: order_of([one]))] if known else 0


def _validation(groups: Sequence[_Group], fold_of: Sequence[int], totals: Mapping[str, int], seed: int) -> set[int]:
    """Return which groups are the validation part: of each class its share, over as many folds as possible."""
    numbers = list(range(len(groups)))
    random.Random(seed).shuffle(numbers)  # noqa: S311  (a reproducible split, no secret)
    chosen: set[int] = set()
    for label in sorted(totals, key=lambda one: (totals[one], one)):
        of_class = [number for number in numbers if label in groups[number].labels]
        while sum(number in chosen for number in of_class) < _share(totals[label]):
            taken = Counter(fold_of[number] for number in of_class if number in chosen)
            left = Counter(fold_of[number] for number in of_class if number not in chosen)
            free = (number for number in of_class if number not in chosen)
            chosen.add(min(free, key=lambda number: (taken[fold_of[number]], -left[fold_of[number]])))
    return chosen


def _share(patients: int) -> int:
    least = 2 if patients >= FOR_TWO_IN_VALIDATION else patients // 3
    return max(least, round(patients * HELD_OUT))
