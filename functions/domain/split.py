"""Divides labelled slices into training, validation and test: by whole patients, stratified, seeded."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import SplitBy

HELD_OUT = 0.2  # of each class's groups for validation, and as much for test
GROUPS_FOR_TWO = 6  # a class with this many groups has at least two in each part
GROUPS_FOR_ONE = 3  # and with this many at least one


def divide(slices: Sequence[LabelledSlice], seed: int) -> tuple[SplitBy, list[LabelledSlice]]:
    """Return how the slices were divided, and the slices, each with its part. The same input has the same result.

    Slices that share a patient, a study or a series stay together, and each class's groups are divided 60/20/20. If a
    class has fewer groups than there are parts, no such division exists. Then single slices are divided, so that a
    person who accepts that risk can train.
    """
    groups = _connected(slices)
    by_class = _by_class(slices, groups)
    if all(len(by_class.get(label, [])) >= GROUPS_FOR_ONE for label in {one.label for one in slices}):
        return SplitBy.PATIENT, _assign(slices, by_class, seed)
    alone = [[index] for index in range(len(slices))]
    return SplitBy.SLICE, _assign(slices, _by_class(slices, alone), seed)


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


def _by_class(slices: Sequence[LabelledSlice], groups: Iterable[list[int]]) -> dict[str, list[list[int]]]:
    """Return the groups of each class, ordered by content; a group's class is that of most of its slices."""
    by_class: dict[str, list[list[int]]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: min(slices[index].content_sha256 for index in group)):
        counts = Counter(slices[index].label for index in group)
        by_class[min(counts, key=lambda label: (-counts[label], label))].append(group)
    return by_class


def _assign(slices: Sequence[LabelledSlice], by_class: dict[str, list[list[int]]], seed: int) -> list[LabelledSlice]:
    generator = random.Random(seed)  # noqa: S311  (a reproducible split, no secret)
    split = [Split.TRAIN] * len(slices)
    for label in sorted(by_class):
        groups = by_class[label]
        generator.shuffle(groups)
        held_out = _held_out(len(groups))
        for part, chosen in (
            (Split.TEST, groups[:held_out]),
            (Split.VALIDATION, groups[held_out : 2 * held_out]),
        ):
            for group in chosen:
                for index in group:
                    split[index] = part
    return [replace(one, split=part) for one, part in zip(slices, split, strict=True)]


def _held_out(groups: int) -> int:
    """Return how many of a class's groups go to validation, and as many go to test."""
    if groups < GROUPS_FOR_ONE:
        return 0
    return max(2 if groups >= GROUPS_FOR_TWO else 1, round(groups * HELD_OUT))
