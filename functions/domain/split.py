"""Divides labelled slices into training, validation and test: by whole patients, stratified, seeded."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from functions.domain.seats import PARTS, Kind, Taken, seats
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import SplitBy

HELD_OUT = 0.2  # of each class's groups for validation, and as much for test
GROUPS_FOR_TWO = 6  # a class with this many groups has at least two in each part
GROUPS_FOR_ONE = 3  # and with this many at least one


def divide(slices: Sequence[LabelledSlice], seed: int) -> tuple[SplitBy, list[LabelledSlice]]:
    """Return how the slices were divided, and the slices, each with its part. The same input has the same result.

    Slices that share a patient, a study or a series stay together, whatever their classes. Such a group counts for
    every class that it has, and each class's groups are divided 60/20/20, with every class in every part if any
    division by groups has that. Only if a class has fewer groups than there are parts are single slices divided, so
    that a person who accepts that risk can train.
    """
    groups = _connected(slices)
    groups_of = Counter(label for group in groups for label in {slices[index].label for index in group})
    if min(groups_of.values(), default=0) >= GROUPS_FOR_ONE:
        return SplitBy.PATIENT, _assign(slices, groups, seed)
    return SplitBy.SLICE, _assign(slices, [[index] for index in range(len(slices))], seed)


def _connected(slices: Sequence[LabelledSlice]) -> list[list[int]]:
    """Return groups of slice indices that are connected by a patient, a study or a series."""
    parent = list(range(len(slices)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, one in enumerate(slices):
        for identity in (
            ("patient", one.patient),
            ("study", one.study_instance_uid),
            ("series", one.series_instance_uid),
        ):
            parent[root(index)] = root(first.setdefault(identity, index))
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(slices)):
        groups[root(index)].append(index)
    return list(groups.values())


def _assign(slices: Sequence[LabelledSlice], groups: Iterable[list[int]], seed: int) -> list[LabelledSlice]:
    """Return the slices with their parts."""
    by_kind = _by_kind(slices, groups)
    counts = _counts({kind: len(alike) for kind, alike in by_kind.items()}, seed)
    generator = random.Random(seed)  # noqa: S311  (a reproducible split, no secret)
    split = [Split.TRAIN] * len(slices)
    for kind, alike in by_kind.items():
        generator.shuffle(alike)
        tests, validations = counts[kind, Split.TEST], counts[kind, Split.VALIDATION]
        for part, chosen in (
            (Split.TEST, alike[:tests]),
            (Split.VALIDATION, alike[tests : tests + validations]),
        ):
            for index in (index for group in chosen for index in group):
                split[index] = part
    return [replace(one, split=part) for one, part in zip(slices, split, strict=True)]


def _by_kind(slices: Sequence[LabelledSlice], groups: Iterable[list[int]]) -> dict[Kind, list[list[int]]]:
    """Return the groups that have the same classes, by these classes; both in an order that no manifest changes."""
    by_kind: dict[Kind, list[list[int]]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: min(slices[index].content_sha256 for index in group)):
        by_kind[tuple(sorted({slices[index].label for index in group}))].append(group)
    return dict(sorted(by_kind.items()))


def _counts(sizes: dict[Kind, int], seed: int) -> Taken:
    """Return how many groups of each kind go to each part.

    First each class gets the groups that it must have in each part, then each kind is divided as its rarest class is,
    and the rest as the classes need. Which of several equally rare kinds comes first is drawn: of a kind with few
    groups another seed divides others.
    """
    kinds = list(sizes)
    random.Random(seed).shuffle(kinds)  # noqa: S311  (a reproducible split, no secret)
    sizes = {kind: sizes[kind] for kind in kinds}
    totals: Counter[str] = Counter()
    for kind, size in sizes.items():
        totals.update(dict.fromkeys(kind, size))
    counts = seats(sizes, {label: _least(total) for label, total in totals.items()})
    for kind, size in sizes.items():
        rarest = min(totals[label] for label in kind)
        left = size - sum(counts[kind, part] for part in PARTS)
        for part in PARTS:
            more = min(left, max(0, size * _share(rarest, part) // rarest - counts[kind, part]))
            counts[kind, part] += more
            left -= more
    _fill(counts, sizes, totals)
    return counts


def _fill(counts: Taken, sizes: dict[Kind, int], totals: Counter[str]) -> None:
    """Add what no part has yet to the part where its rarest class lacks most of its share, rare classes first.

    (Iterative stratification, as Sechidis and others 2011.)
    """
    lacking = {(label, part): _share(total, part) for label, total in totals.items() for part in PARTS}
    for (kind, part), count in counts.items():
        for label in kind:
            lacking[label, part] -= count
    by_rarity = {kind: sorted(kind, key=lambda label: (totals[label], label)) for kind in sizes}
    for kind in sorted(sizes, key=lambda kind: totals[by_rarity[kind][0]]):
        for _ in range(sizes[kind] - sum(counts[kind, part] for part in PARTS)):
            part = max(PARTS, key=lambda part: [lacking[label, part] for label in by_rarity[kind]])
            counts[kind, part] += 1
            for label in kind:
                lacking[label, part] -= 1


def _share(groups: int, part: Split) -> int:
    """Return how many of a class's groups belong in a part."""
    held_out = max(_least(groups), round(groups * HELD_OUT)) if groups >= GROUPS_FOR_ONE else 0
    return groups - 2 * held_out if part is Split.TRAIN else held_out


def _least(groups: int) -> int:
    """Return how many of a class's groups each part must have."""
    return (groups >= GROUPS_FOR_ONE) + (groups >= GROUPS_FOR_TWO)
