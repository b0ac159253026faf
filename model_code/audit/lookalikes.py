"""Finds slices in different parts that show one picture in another form, or two neighbouring slices of one patient.

Two steps keep the cost in bounds. An index of few numbers per slice names the most similar slices of the other parts,
also turned and mirrored. Only these are laid over each other and compared (``registration``): MOST_COMPARED pairs, or
FEWEST_EACH for each slice of the smaller parts if that is more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch

from model_code.audit.likeness import SIDE, Likeness
from model_code.audit.registration import MARGIN, alike, registered

# On Fisher's scale. Of 202 pairs of slices of three different real patients none is above 0.60 in a window, or 0.56 in
# the mean of both. Phantoms of one template reach 1.3. What is CERTAIN is a copy in any cohort.
COPY, SAME_PATIENT, CERTAIN = 1.3, 0.6, 1.8
# A cohort whose strangers are more alike than real patients are (phantoms of one template) needs more: what the most
# alike of so many strangers would reach, in one of a hundred cohorts, if all were spread as their lower part is.
FEWEST_STRANGERS, LOWER, SELDOM, LIKE_PEOPLE = 20, 0.75, 0.01, 0.2
# So many pairs show how alike strangers are. A small part has fewer with the others, so the largest part's are added.
ENOUGH_STRANGERS = 400
# Pairs that are compared closely, for all queries together and for one.
MOST_COMPARED, FEWEST_EACH, MOST_EACH = 60_000, 5, 40
TURNED = 5  # one of so many candidates is a turned one: a copy is the nearest, a neighbour need not be
# Of a window, that two slices must both have: an export in another window has nothing of it to compare.
NARROWEST = 0.2
FREQUENCIES = 12  # per axis, in the index
QUERIES, BATCH = 256, 256  # at once: they bound the memory and do not change the result
TURNS = tuple((mirrored, upside_down, swapped) for swapped in (0, 1) for mirrored in (0, 1) for upside_down in (0, 1))
"""The eight ways to lay a square: columns mirrored, rows mirrored, then rows and columns exchanged."""

_Floats = npt.NDArray[np.float32]
_Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Lookalike:
    """Two slices by their index, ``first`` < ``second``, and the correlation of their detail, 0 to 1."""

    first: int
    second: int
    similarity: float


@dataclass(frozen=True)
class Lookalikes:
    """``copies`` are one picture in two forms; ``same_patient`` the closest slices of two patients that seem one.

    Both are sorted, the most similar first. The thresholds are correlations; ``compared`` counts the pairs.
    """

    copies: tuple[Lookalike, ...]
    same_patient: tuple[Lookalike, ...]
    copy_threshold: float
    same_patient_threshold: float
    compared: int


def lookalikes(
    likenesses: Sequence[Likeness | None], digests: Sequence[str], splits: Sequence[str], patients: Sequence[str]
) -> Lookalikes:
    """Return what looks alike across ``splits``; equal ``digests`` and one patient's slices are no finding here."""
    seen = [index for index, one in enumerate(likenesses) if one is not None]
    bodies = _Bodies([one for one in likenesses if one is not None])
    parts, people, pixels = ([str(texts[index]) for index in seen] for texts in (splits, patients, digests))
    found: list[tuple[int, int, int, float, float]] = []
    for pairs in _batches(bodies.candidates(parts)):
        kept = [pair for pair in pairs if pixels[pair[0]] != pixels[pair[1]]]
        scores = bodies.compared(kept)
        found += [(*pair, float(score.max()), float(score.mean())) for pair, score in zip(kept, scores, strict=True)]
    strangers = [one for one in found if people[one[0]] != people[one[1]] and not one[2]]
    scored = np.array([one[3:] for one in strangers], np.float32).reshape(-1, 2)
    if len(strangers) < ENOUGH_STRANGERS:
        scores = bodies.compared(bodies.strangers(parts, people, ENOUGH_STRANGERS - len(strangers)))
        scored = np.concatenate([scored, np.stack([scores.max(axis=1), scores.mean(axis=1)], axis=1)])
    copy = min(CERTAIN, _threshold(COPY, scored[:, 0]))
    same = _threshold(SAME_PATIENT, scored[:, 1])
    copies = [(one[0], one[1], one[3]) for one in found if one[3] >= copy]
    neighbours = [(one[0], one[1], one[4]) for one in strangers if one[3] < copy and one[4] >= same]
    return Lookalikes(
        tuple(_closest(copies, seen, range(len(parts)))),
        tuple(_closest(neighbours, seen, people)),
        math.tanh(copy),
        math.tanh(same),
        len(found),
    )


def _closest(found: Iterable[tuple[int, int, float]], seen: Sequence[int], of: Sequence[object]) -> list[Lookalike]:
    """Return the closest pair of each two slices (or patients, by ``of``)."""
    best: dict[frozenset[object], Lookalike] = {}
    for one, other, score in sorted(found, key=lambda each: (-each[2], each[0], each[1])):
        first, second = sorted((seen[one], seen[other]))
        best.setdefault(frozenset((of[one], of[other])), Lookalike(first, second, math.tanh(score)))
    return list(best.values())


def _threshold(lowest: float, strangers: _Floats) -> float:
    """Return ``lowest``, or what the most alike of strangers would reach if half of them are above LIKE_PEOPLE.

    The quarter that are most alike are not looked at: copies and one patient under two ids are among them.
    """
    finite = strangers[np.isfinite(strangers)]
    if len(finite) < FEWEST_STRANGERS:
        return lowest
    middle, upper = np.quantile(finite, (0.5, LOWER)).tolist()
    if middle <= LIKE_PEOPLE:
        return lowest
    normal = NormalDist()
    most = normal.inv_cdf(1 - SELDOM / len(finite)) / normal.inv_cdf(LOWER)
    return max(lowest, float(middle + (upper - middle) * most))


class _Bodies:
    """The likenesses of many slices, their index, and the close comparison of pairs."""

    def __init__(self, likenesses: Sequence[Likeness]) -> None:
        shape = (0, 2, SIDE, SIDE)
        self._pictures = np.stack([one.picture for one in likenesses]) if likenesses else np.zeros(shape, np.uint8)
        self._frames = np.stack([one.frame for one in likenesses]) if likenesses else np.zeros((0, 2, 3), np.float32)
        self._limits = np.stack([one.limits for one in likenesses]) if likenesses else np.zeros((0, 2, 2), np.float32)

    def candidates(self, parts: Sequence[str]) -> Iterator[tuple[int, int, int]]:
        """Yield pairs of slices in different parts that may be alike, and by which of TURNS the second lies so."""
        of_part = {part: np.flatnonzero(np.array(parts) == part) for part in sorted(set(parts))}
        sides = [sorted(two, key=len) for two in combinations(of_part.values(), 2)]
        each = MOST_COMPARED // max(1, sum(len(queries) for queries, _ in sides))
        each = min(MOST_EACH, max(FEWEST_EACH, each))
        index = _spectra(self._pictures)
        for queries, others in sides:
            for start in range(0, len(queries), QUERIES):
                few = queries[start : start + QUERIES]
                yield from self._nearest(index, few, others, each)

    def strangers(self, parts: Sequence[str], people: Sequence[str], most: int) -> list[tuple[int, int, int]]:
        """Return pairs of different patients' slices in the largest part: the nearest of slices spread over it."""
        if not parts:
            return []
        named, patients = np.array(parts), np.array(people)
        largest = max((np.flatnonzero(named == part) for part in sorted(set(parts))), key=len)
        index = _flat(_spectra(self._pictures[largest]))
        pairs: dict[tuple[int, int], None] = {}
        for row in np.linspace(0, len(largest) - 1, min(len(largest), -(-2 * most // MOST_EACH))).astype(int).tolist():
            closeness = index @ index[row]
            closeness[patients[largest] == patients[largest[row]]] = -np.inf
            nearest = np.argsort(-closeness, kind="stable")[: MOST_EACH - MOST_EACH // TURNED]
            for column in nearest[np.isfinite(closeness[nearest])].tolist():
                pairs[(int(largest[min(row, column)]), int(largest[max(row, column)]))] = None
        return [(first, second, 0) for first, second in pairs][:most]

    def _nearest(self, index: _Floats, queries: _Ints, others: _Ints, each: int) -> Iterator[tuple[int, int, int]]:
        """Yield the nearest of ``others`` to each query: most of them as they are, and some turned."""
        ours, theirs = index[queries], _flat(index[others])
        upright = _flat(ours) @ theirs.T
        turned, turns = np.full_like(upright, -np.inf), np.zeros(upright.shape, np.int8)
        for number, turn in enumerate(TURNS[1:], start=1):
            # The few are turned back instead of the many.
            closeness = _flat(_turned(ours, _inverse(turn))) @ theirs.T
            turns[closeness > turned] = number
            np.maximum(turned, closeness, out=turned)
        for table, share in ((upright, each - each // TURNED), (turned, each // TURNED)):
            wanted = min(share, len(others))
            nearest = np.sort(np.argpartition(-table, wanted - 1, axis=1)[:, :wanted], axis=1)
            for row, columns in enumerate(nearest.tolist()):
                for column in columns:
                    how = 0 if table is upright else int(turns[row, column])
                    yield int(queries[row]), int(others[column]), how

    def compared(self, pairs: Sequence[tuple[int, int, int]]) -> _Floats:
        """Return how alike pairs are, on Fisher's scale: pairs x 2 windows."""
        if not pairs:
            return np.zeros((0, 2), np.float32)
        first, second, turns = (list(column) for column in zip(*pairs, strict=True))
        limits = (
            np.maximum(self._limits[first, :, 0], self._limits[second, :, 0]),
            np.minimum(self._limits[first, :, 1], self._limits[second, :, 1]),
        )
        floor, ceiling = (torch.from_numpy(one)[:, :, None, None] for one in limits)
        ours, theirs = (
            (torch.from_numpy(self._pictures[side]).float() / 255).clamp(floor, ceiling) for side in (first, second)
        )
        covers = [_covers(torch.from_numpy(self._frames[side])) for side in (first, second)]
        for number in set(turns) - {0}:
            at = [row for row, turn in enumerate(turns) if turn == number]
            theirs[at], covers[1][at] = (_laid(one[at], TURNS[number]) for one in (theirs, covers[1]))
        both = covers[0], covers[1]
        pose = registered(ours[:, :1], theirs[:, :1], both)
        scores = alike(ours, theirs, both, pose)
        scores[(ceiling - floor)[..., 0, 0] < NARROWEST] = 0
        found: _Floats = scores.numpy()
        return found


def _batches(pairs: Iterator[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    batch: list[tuple[int, int, int]] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _laid(pictures: torch.Tensor, turn: tuple[int, int, int]) -> torch.Tensor:
    mirrored, upside_down, swapped = turn
    axes = [axis for axis, flipped in ((-1, mirrored), (-2, upside_down)) if flipped]
    laid = pictures.flip(axes) if axes else pictures
    return laid.mT if swapped else laid


def _covers(frames: torch.Tensor) -> torch.Tensor:
    """Return 1 where a frame lies within its picture, by MARGIN pixels of the likeness: n x 1 x SIDE x SIDE."""
    axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    inside = []
    for row in (0, 1):  # a frame is not rotated: its columns are the picture's, its rows too
        size, middle = frames[:, row, row, None], frames[:, row, 2, None]
        inside.append((size * axis + middle).abs() <= 1 - MARGIN * 2 / SIDE * size)
    return (inside[1][:, :, None] & inside[0][:, None, :]).float()[:, None]


def _spectra(pictures: npt.NDArray[np.uint8]) -> _Floats:
    """Return the low spatial frequencies of the soft window, weighted as if all were equally strong; of length 1."""
    frequency, sample = np.arange(FREQUENCIES)[:, None], np.arange(SIDE)[None, :]
    waves = np.cos(np.pi * (sample + 0.5) * frequency / SIDE).astype(np.float32)
    spectra = np.stack([waves @ one[0].astype(np.float32) @ waves.T for one in pictures]) if len(pictures) else None
    if spectra is None:
        return np.zeros((0, FREQUENCIES, FREQUENCIES), np.float32)
    weighted = spectra * np.hypot(frequency, frequency.T).astype(np.float32)
    lengths = np.linalg.norm(weighted, axis=(1, 2), keepdims=True)
    found: _Floats = (weighted / np.maximum(lengths, 1e-6)).astype(np.float32)
    return found


def _turned(spectra: _Floats, turn: tuple[int, int, int]) -> _Floats:
    """Return the spectra of pictures that are turned: a mirror changes the signs of odd frequencies."""
    mirrored, upside_down, swapped = turn
    signs = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    turned = spectra * (signs if mirrored else 1) * (signs[:, None] if upside_down else 1)
    return turned.swapaxes(1, 2) if swapped else turned


def _inverse(turn: tuple[int, int, int]) -> tuple[int, int, int]:
    mirrored, upside_down, swapped = turn
    return (upside_down, mirrored, swapped) if swapped else turn


def _flat(spectra: _Floats) -> _Floats:
    return spectra.reshape(len(spectra), -1)
