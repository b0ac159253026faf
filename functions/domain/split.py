"""Divides labelled slices into training, validation and test: by whole patients, stratified; the test part for good.

A patient who was in a test part stays in it, whatever the seed and however the cohort grows. To a test part that lacks
patients, new ones are added, in the order of their keyed hashes; those that a model was trained on only where a class
would otherwise lack its fewest. The seed divides the others.
"""

from __future__ import annotations

import enum
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from functions.domain.seats import PARTS, Kind, Taken, Wish, seats
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import SplitBy

HELD_OUT = 0.2  # of each class's groups for validation, and as much for test
GROUPS_FOR_TWO = 6  # a class with this many groups has at least two in each part
GROUPS_FOR_ONE = 3  # and with this many at least one
SEEDED = (Split.VALIDATION, Split.TRAIN)  # the parts that the seed divides


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The patients, by keyed hash, that models were measured on, and those that champions were trained on."""

    tested: frozenset[str] = frozenset()
    trained: frozenset[str] = frozenset()


class Suitability(enum.IntEnum):
    """How suitable a group is for the test part: the lower, the more."""

    TESTED = 0
    NEW = 1
    TRAINED = 2


@dataclass(frozen=True)
class _Group:
    """Slices (their indices) that stay together; groups of one suitability enter the test part by ``order``."""

    suitability: Suitability
    order: str
    indices: tuple[int, ...]


def divide(
    slices: Sequence[LabelledSlice], seed: int, earlier: Earlier | None = None
) -> tuple[SplitBy, list[LabelledSlice]]:
    """Return how the slices were divided, and the slices, each with its part. The same input has the same result.

    Slices that share a patient, a study or a series stay together, whatever their classes. Such a group counts for
    every class that it has, and each class's groups are divided 60/20/20, with every class in every part if any
    division by groups has that. Only if a class has fewer groups than there are parts are single slices divided, so
    that a person who accepts that risk can train. ``earlier`` decides about the test part first.
    """
    earlier = earlier or Earlier()
    together = connected(slices)
    groups_of = Counter(label for group in together for label in {slices[index].label for index in group})
    groups = [_by_patient(slices, group, earlier) for group in together]
    if min(groups_of.values(), default=0) >= GROUPS_FOR_ONE:
        return SplitBy.PATIENT, _assign(slices, groups, seed)
    whole = [group for group in groups if group.suitability is Suitability.TESTED]
    held = {index for group in whole for index in group.indices}
    single = [
        _Group(Suitability.NEW, one.content_sha256, (index,)) for index, one in enumerate(slices) if index not in held
    ]
    return SplitBy.SLICE, _assign(slices, [*whole, *single], seed)


def _by_patient(slices: Sequence[LabelledSlice], indices: Sequence[int], earlier: Earlier) -> _Group:
    patients = {slices[index].patient for index in indices}
    suitability = Suitability.NEW
    if patients & earlier.tested:
        suitability = Suitability.TESTED
    elif patients & earlier.trained:
        suitability = Suitability.TRAINED
    return _Group(suitability, order_of(patients), tuple(indices))


def order_of(patients: Iterable[str]) -> str:
    """Return the place of a group in the order in which patients are tested.

    Hashed once more: what else is ordered by patients' hashes has nothing to do with who is tested.
    """
    return min(hashlib.sha256(f"test part {patient}".encode()).hexdigest() for patient in patients)


def connected(slices: Sequence[LabelledSlice]) -> list[list[int]]:
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


def _assign(slices: Sequence[LabelledSlice], groups: Iterable[_Group], seed: int) -> list[LabelledSlice]:
    """Return the slices with their parts."""
    by_kind = _by_kind(slices, groups)
    sizes = {kind: len(alike) for kind, alike in by_kind.items()}
    tests = _tests(by_kind)
    counts = _seeded(sizes, tests, seed)
    generator = random.Random(seed)  # noqa: S311  (a reproducible split, no secret)
    split = [Split.TRAIN] * len(slices)
    for kind, alike in by_kind.items():
        tested, others = alike[: tests[kind]], alike[tests[kind] :]
        generator.shuffle(others)
        for part, chosen in ((Split.TEST, tested), (Split.VALIDATION, others[: counts[kind, Split.VALIDATION]])):
            for index in (index for group in chosen for index in group.indices):
                split[index] = part
    return [replace(one, split=part) for one, part in zip(slices, split, strict=True)]


def _by_kind(slices: Sequence[LabelledSlice], groups: Iterable[_Group]) -> dict[Kind, list[_Group]]:
    """Return the groups that have the same classes, by these classes; both in an order that no manifest changes."""
    by_kind: dict[Kind, list[_Group]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: (group.suitability, group.order)):
        by_kind[tuple(sorted({slices[index].label for index in group.indices}))].append(group)
    return dict(sorted(by_kind.items()))


def _tests(by_kind: Mapping[Kind, Sequence[_Group]]) -> dict[Kind, int]:
    """Return how many groups of each kind are tested, whatever the seed: those that were, and more up to the share.

    No division of the others may lack a class in training or validation for it, so all parts are counted.
    """
    sizes = {kind: len(alike) for kind, alike in by_kind.items()}
    suitability = Counter((kind, group.suitability) for kind, alike in by_kind.items() for group in alike)
    held: Taken = Counter({(kind, Split.TEST): suitability[kind, Suitability.TESTED] for kind in sizes})
    free = {kind: size - held[kind, Split.TEST] for kind, size in sizes.items()}
    new = {kind: suitability[kind, Suitability.NEW] for kind in sizes}
    wishes = _wishes(_totals(sizes), PARTS, held)
    found = seats(free, wishes, new)
    if _lacking(found, wishes[0]):
        any_of_them = seats(free, wishes, free)
        found = min(found, any_of_them, key=lambda one: _lacking(one, wishes[0]))
    counts = held + found
    new_tests = Counter({kind: max(0, new[kind] - found[kind, Split.TEST]) for kind in sizes})
    _Filling(counts, sizes, PARTS, new_tests).fill()
    return {kind: counts[kind, Split.TEST] for kind in sizes}


def _seeded(sizes: Mapping[Kind, int], tests: Mapping[Kind, int], seed: int) -> Taken:
    """Return how many groups of each kind are in each part, once those that are tested are known.

    Which of several equally rare kinds comes first is drawn: of a kind with few groups another seed divides others.
    """
    kinds = list(sizes)
    random.Random(seed).shuffle(kinds)  # noqa: S311  (a reproducible split, no secret)
    sizes = {kind: sizes[kind] for kind in kinds}
    held: Taken = Counter({(kind, Split.TEST): tests[kind] for kind in kinds})
    free = {kind: size - tests[kind] for kind, size in sizes.items()}
    counts = held + seats(free, _wishes(_totals(sizes), SEEDED, Counter()), free)
    _Filling(counts, sizes, SEEDED, Counter()).fill()
    return counts


def _totals(sizes: Mapping[Kind, int]) -> Counter[str]:
    """Return how many groups each class has."""
    totals: Counter[str] = Counter()
    for kind, size in sizes.items():
        totals.update(dict.fromkeys(kind, size))
    return totals


def _wishes(totals: Mapping[str, int], parts: Sequence[Split], held: Taken) -> list[Wish]:
    """Return how many groups of each class each part needs besides those that it has: as many as it should, or one."""
    has: Counter[tuple[str, Split]] = Counter()
    for (kind, part), count in held.items():
        has.update(dict.fromkeys(((label, part) for label in kind), count))
    return [
        {
            part: {label: max(0, min(most, _least(total)) - has[label, part]) for label, total in totals.items()}
            for part in parts
        }
        for most in (2, 1)
    ]


def _lacking(taken: Taken, wish: Wish) -> int:
    """Return how many seats of a wish are not filled."""
    has: Counter[tuple[str, Split]] = Counter()
    for (kind, part), count in taken.items():
        has.update(dict.fromkeys(((label, part) for label in kind), count))
    return sum(max(0, count - has[label, part]) for part, least in wish.items() for label, count in least.items())


@dataclass(frozen=True)
class _Filling:
    """Adds to ``counts`` what no part has yet, to ``parts``: to the test part at most ``new_tests`` of each kind."""

    counts: Taken
    sizes: Mapping[Kind, int]
    parts: Sequence[Split]
    new_tests: Counter[Kind]

    def fill(self) -> None:
        """Divide each kind as its rarest class is, and give what is left to the parts that lack most."""
        totals = _totals(self.sizes)
        for kind, size in self.sizes.items():
            rarest = min(totals[label] for label in kind)
            for part in self.parts:
                wanted = max(0, size * _share(rarest, part) // rarest - self.counts[kind, part])
                self._add(kind, part, min(wanted, self._left(kind), self._room(kind, part)))
        self._fill_lacking(totals)

    def _fill_lacking(self, totals: Mapping[str, int]) -> None:
        """Add each group to the part where its rarest class lacks most of its share, rare classes first.

        (Iterative stratification, as Sechidis and others 2011.)
        """
        lacking = {(label, part): _share(total, part) for label, total in totals.items() for part in PARTS}
        for (kind, part), count in self.counts.items():
            for label in kind:
                lacking[label, part] -= count
        by_rarity = {kind: sorted(kind, key=lambda label: (totals[label], label)) for kind in self.sizes}
        for kind in sorted(self.sizes, key=lambda kind: totals[by_rarity[kind][0]]):
            for _ in range(self._left(kind)):
                with_room = [part for part in self.parts if self._room(kind, part)]
                part = max(with_room, key=lambda part: [lacking[label, part] for label in by_rarity[kind]])
                self._add(kind, part, 1)
                for label in kind:
                    lacking[label, part] -= 1

    def _left(self, kind: Kind) -> int:
        return self.sizes[kind] - sum(self.counts[kind, part] for part in PARTS)

    def _room(self, kind: Kind, part: Split) -> int:
        return self.new_tests[kind] if part is Split.TEST else self.sizes[kind]

    def _add(self, kind: Kind, part: Split, count: int) -> None:
        self.counts[kind, part] += count
        if part is Split.TEST:
            self.new_tests[kind] -= count


def _share(groups: int, part: Split) -> int:
    """Return how many of a class's groups belong in a part."""
    held_out = max(_least(groups), round(groups * HELD_OUT)) if groups >= GROUPS_FOR_ONE else 0
    return groups - 2 * held_out if part is Split.TRAIN else held_out


def _least(groups: int) -> int:
    """Return how many of a class's groups each part must have."""
    return (groups >= GROUPS_FOR_ONE) + (groups >= GROUPS_FOR_TWO)
