"""Finds groups for every class in every part of a split, where a group counts for each class that it has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from functions.domain.slices import Split

PARTS = (Split.TEST, Split.VALIDATION, Split.TRAIN)
MOST_STEPS = 20_000  # of one search, besides one for each seat: no cohort needs them that is not made to be hard

Kind = tuple[str, ...]
"""The classes of a group, sorted. Groups of one kind are alike to a split."""

Taken = Counter[tuple[Kind, Split]]
"""How many groups of each kind each part has."""


Wish = Mapping[Split, Mapping[str, int]]
"""How many groups of each class each part should have at least; parts are filled in this order."""


def seats(sizes: Mapping[Kind, int], wishes: Sequence[Wish], most_tests: Mapping[Kind, int]) -> Taken:
    """Return groups, of ``sizes`` groups of each kind, that fulfil the first of the wishes that any division fulfils.

    Where no division fulfils the last one either, as few classes lack a group in a part as possible. (Four patients can
    be too few for three classes of three patients each.) A search that exceeds MOST_STEPS counts as one without a
    result; then any number may be lacking. The test part gets ``most_tests`` groups of a kind at most. Of kinds that
    serve equally well the first in ``sizes`` is taken.
    """
    for wish in wishes:
        search = _Search(sizes, wish, most_tests)
        if search.run(misses=0):
            return search.taken
    last, misses = wishes[-1], 0
    while not (search := _Search(sizes, last, most_tests)).run(misses):
        misses = misses + 1 if search.was_complete else sum(sum(lacks.values()) for lacks in last.values())
    return search.taken


@dataclass(frozen=True)
class _Place:
    """Where a search is: a part (its number), the seats that it lacks by class, the misses still allowed."""

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

    def __init__(self, sizes: Mapping[Kind, int], wish: Wish, most_tests: Mapping[Kind, int]) -> None:
        self._left = dict(sizes)
        self._most_tests = most_tests
        self._kinds_of: dict[str, list[Kind]] = defaultdict(list)
        for kind in sizes:
            for label in kind:
                self._kinds_of[label].append(kind)
        self._used: Counter[Kind] = Counter()
        wanted = {part: {label: count for label, count in least.items() if count > 0} for part, least in wish.items()}
        self._parts = [(part, least) for part, least in wanted.items() if least]
        self._dead: set[tuple[object, ...]] = set()
        self._steps = 0
        self.taken: Taken = Counter()

    @property
    def was_complete(self) -> bool:
        """Whether the search has ended within MOST_STEPS."""
        return self._steps <= MOST_STEPS + sum(sum(least.values()) for _, least in self._parts)

    def run(self, misses: int) -> bool:
        """Fill the seats of each part but ``misses`` of all; return whether that was found."""
        if not self._parts:
            return True
        start = _Place(0, self._parts[0][1], misses)
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
            if place.part == len(self._parts):
                return True
            self._steps += 1
            if self._state(place) not in self._dead:
                way.append(_Step(place, self._moves(place)))
        return False

    def _moves(self, place: _Place) -> Iterator[tuple[Kind | None, _Place]]:
        """Yield the kinds that fill a seat of the class with the least choice, and last None, which misses it."""
        lacking = [label for label, count in place.lacks.items() if count > 0]
        label = min(lacking, key=lambda label: (self._groups_left(label), label))
        part = self._parts[place.part][0]
        kinds = [kind for kind in self._kinds_of[label] if self._left[kind] and self._may_take(kind, part)]
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
        following = place.part + 1
        return _Place(following, self._parts[following][1] if following < len(self._parts) else {}, misses)

    def _may_take(self, kind: Kind, part: Split) -> bool:
        return part is not Split.TEST or self.taken[kind, part] < self._most_tests[kind]

    def _take(self, step: _Step, kind: Kind | None) -> None:
        """Give back the group that a step has taken, and take one of another kind."""
        for one, count in ((step.taken, -1), (kind, 1)):
            if one is not None:
                self._left[one] -= count
                self._used[one] += count
                self.taken[one, self._parts[step.place.part][0]] += count
        step.taken = kind

    def _state(self, place: _Place) -> tuple[object, ...]:
        used = frozenset((kind, count) for kind, count in self._used.items() if count)
        return place.part, place.misses, tuple(place.lacks.values()), used

    def _groups_left(self, label: str) -> int:
        return sum(self._left[kind] for kind in self._kinds_of[label])
