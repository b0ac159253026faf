"""Finds slices in different splits that show the same picture: equal pixels, or a near perceptual hash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from model_code.audit.perceptual_hash import BITS, Fingerprint

# Measured on 512 x 512 slices of real patients and on 700 phantoms. Slices of one patient 4 mm apart differ by 104 to
# 131 bits. Copies that were resized, made noisy, windowed to 8 bits or moved by up to 10 pixels differ by at most 144,
# or 92 without the largest move. Slices of different real patients differ by 411 and more; different phantoms, which
# share one template, by 174 and more in 3.9 million pairs.
NEAR_BITS = 140
# Rows of the table of distances that are computed at once; it bounds the memory and does not change the result.
CHUNK = 256


@dataclass(frozen=True)
class Pair:
    """Two slices by their index, ``first`` < ``second``, and how many bits of their fingerprints differ."""

    first: int
    second: int
    distance: int


def identical_groups(digests: Sequence[str], splits: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the indices of slices with equal ``digests``, for each digest in more than one of the ``splits``."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        found[digest].append(index)
    return [tuple(group) for group in found.values() if len({splits[index] for index in group}) > 1]


def near_pairs(
    fingerprints: Sequence[Fingerprint | None], digests: Sequence[str], splits: Sequence[str], kept: int
) -> tuple[int, list[Pair]]:
    """Return the number of non-identical pairs across splits within NEAR_BITS, and the ``kept`` closest.

    Every slice of a split is compared with every slice of another: at most n^2 / 2 comparisons for n slices.
    """
    seen = [index for index, one in enumerate(fingerprints) if one is not None]
    words = np.array([fingerprints[index] for index in seen], np.uint64).reshape(len(seen), BITS // 64)
    side = np.array([splits[index] for index in seen])
    same = np.unique([digests[index] for index in seen], return_inverse=True)[1] if seen else np.array([], int)
    count = 0
    closest: list[Pair] = []
    for one, other in combinations(sorted(set(side.tolist())), 2):
        ours, theirs = np.flatnonzero(side == one), np.flatnonzero(side == other)
        for start in range(0, len(ours), CHUNK):
            rows = ours[start : start + CHUNK]
            distances = _distances(words[rows], words[theirs])
            near = (distances <= NEAR_BITS) & (same[rows][:, None] != same[theirs][None, :])
            at = np.argwhere(near)
            count += len(at)
            best = at[np.argsort(distances[near], kind="stable")[:kept]]
            closest += [_pair(seen[rows[i]], seen[theirs[j]], int(distances[i, j])) for i, j in best.tolist()]
            closest = sorted(closest, key=lambda pair: (pair.distance, pair.first, pair.second))[:kept]
    return count, closest


def _pair(one: int, other: int, distance: int) -> Pair:
    return Pair(min(one, other), max(one, other), distance)


def _distances(ours: npt.NDArray[np.uint64], theirs: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Return how many bits differ: rows of ``ours`` by rows of ``theirs``."""
    total = np.zeros((len(ours), len(theirs)), np.uint16)
    for word in range(ours.shape[1]):
        total += np.bitwise_count(ours[:, word, None] ^ theirs[None, :, word])
    return total
