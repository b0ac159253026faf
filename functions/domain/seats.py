"""Finds groups for every class in every part of a split, where a group counts for each class that it has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from functions.domain.slices import Split

PARTS = (Split.TEST, Split.VALIDATION, Split.TRAIN)
MOST_STEPS = 20_000  # of one search, besides one for each seat: no cohort needs them that is not made to be hard

Kind = tuple[str, ...]
"""The classes of a group, sorted. Groups of one kind are alike to a split."""

Taken = Counter[tuple[Kind, Split]]
"""How many groups of each kind each part has."""


def seats(sizes: Mapping[Kind, int], least: Mapping[str, int]) -> Taken:
    """Return groups such that each part has ``least`` groups of each class, of ``sizes`` groups of each kind.

    Where no division has that, every class has at least one group in each part, and where no division has that
    either, as few classes lack one as possible. (Four patients can be too few for three classes of three patients
    each.) A search that exceeds MOST_STEPS counts as one without a result; then any number may be lacking.
    Of kinds that serve equally well the first in ``sizes`` is taken.
    """
    search = _Search(sizes, least)
    if search.run(misses=0):
        return search.taken
    one_each = {label: min(1, count) for label, count in least.items()}
    misses = 0
    while not (search := _Search(sizes, one_each)).run(misses):
        misses = misses + 1 if search.was_complete else len(PARTS) * len(one_each)
    return search.taken


@dataclass(frozen=True)
class _Place:
    """Where a search is: a part (its number in PARTS), the seats that it lacks by class, the misses still allowed."""

    part: int
    lacks: Mapping[str, int]
    misses: int


@dataclass
class _Step:
    """One place on the way of a search, the moves that remain there, and the kind that the last of them took."""

    place: _Place
    moves: Iterator[tuple[Kind | None, _Place]]
    taken: Kind | None = None


class _Search:
    """A search through the kinds, depth first, for one part after the other; it remembers what led nowhere.

    ``taken`` is what it has found.
    """

    def __init__(self, sizes: Mapping[Kind, int], least: Mapping[str, int]) -> None:
        self._left = dict(sizes)
        self._kinds_of: dict[str, list[Kind]] = defaultdict(list)
        for kind in sizes:
            for label in kind:
                self._kinds_of[label].append(kind)
        self._used: Counter[Kind] = Counter()
        self._least = {label: count for label, count in least.items() if count}
        self._dead: set[tuple[object, ...]] = set()
        self._steps = 0
        self.taken: Taken = Counter()

    @property
    def was_complete(self) -> bool:
        """Whether the search has ended within MOST_STEPS."""
        return self._steps <= MOST_STEPS + len(PARTS) * sum(self._least.values())

    def run(self, misses: int) -> bool:
        """Fill the seats of each part but ``misses`` of all; return whether that was found."""
        if not self._least:
            return True
        start = _Place(0, self._least, misses)
        way = [_Step(start, self._moves(start))]
        while way and self.was_complete:
            step = way[-1]
            self._take(step, None)
            move = next(step.moves, None)
            if move is None:
                self._dead.add(self._state(step.place))
                way.pop()
                continue
            kind, place = move
            self._take(step, kind)
            if place.part == len(PARTS):
                return True
            self._steps += 1
            if self._state(place) not in self._dead:
                way.append(_Step(place, self._moves(place)))
        return False

    def _moves(self, place: _Place) -> Iterator[tuple[Kind | None, _Place]]:
        """Yield the kinds that fill a seat of the class with the least choice, and last None, which misses it."""
        lacking = [label for label, count in place.lacks.items() if count > 0]
        label = min(lacking, key=lambda label: (self._groups_left(label), label))
        kinds = [kind for kind in self._kinds_of[label] if self._left[kind]]
        # Plenty first, so that no rare kind is used up; of equally many those that fill most seats.
        kinds.sort(key=lambda kind: (-self._left[kind], -sum(place.lacks.get(one, 0) > 0 for one in kind)))
        for kind in kinds:
            yield kind, self._after(place, kind, place.misses)
        if place.misses:
            yield None, self._after(place, (label,), place.misses - 1)

    def _after(self, place: _Place, filled: Kind, misses: int) -> _Place:
        lacks = {label: count - (label in filled) for label, count in place.lacks.items()}
        if any(count > 0 for count in lacks.values()):
            return _Place(place.part, lacks, misses)
        return _Place(place.part + 1, self._least, misses)

    def _take(self, step: _Step, kind: Kind | None) -> None:
        """Give back the group that a step has taken, and take one of another kind."""
        for one, count in ((step.taken, -1), (kind, 1)):
            if one is not None:
                self._left[one] -= count
                self._used[one] += count
                self.taken[one, PARTS[step.place.part]] += count
        step.taken = kind

    def _state(self, place: _Place) -> tuple[object, ...]:
        used = frozenset((kind, count) for kind, count in self._used.items() if count)
        return place.part, place.misses, tuple(place.lacks.values()), used

    def _groups_left(self, label: str) -> int:
        return sum(self._left[kind] for kind in self._kinds_of[label])
