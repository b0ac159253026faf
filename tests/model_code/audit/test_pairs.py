"""Pairs across the split: every one is found, none within a part, the closest are kept."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.audit import pairs
from model_code.audit.pairs import NEAR_BITS, Pair, identical_groups, near_pairs
from model_code.audit.perceptual_hash import BITS, Fingerprint, distance

rng = np.random.default_rng(0)


def random_print() -> Fingerprint:
    return rng.integers(0, 2**63, BITS // 64, dtype=np.uint64)


def changed(one: Fingerprint, bits: int) -> Fingerprint:
    """Return ``one`` with its first ``bits`` bits flipped."""
    flipped = np.zeros(BITS, bool)
    flipped[:bits] = True
    return one ^ np.packbits(flipped).view(np.uint64)


def test_equal_digests_on_both_sides_are_one_group() -> None:
    splits = ["train", "train", "test", "train", "validation"]
    assert identical_groups(["a", "b", "a", "a", "c"], splits) == [(0, 2, 3)]
    assert identical_groups(["a", "a", "c", "a", "b"], splits) == []


def test_the_threshold_is_the_last_distance_that_is_near() -> None:
    one = random_print()
    near, far = changed(one, NEAR_BITS), changed(one, NEAR_BITS + 1)
    assert near_pairs([one, near], ["a", "b"], ["train", "test"], 9) == (1, [Pair(0, 1, NEAR_BITS)])
    assert near_pairs([one, far], ["a", "b"], ["train", "test"], 9) == (0, [])


def test_the_same_part_the_same_pixels_and_no_body_make_no_pair() -> None:
    one = random_print()
    assert near_pairs([one, one], ["a", "b"], ["test", "test"], 9) == (0, [])
    assert near_pairs([one, one], ["a", "a"], ["train", "test"], 9) == (0, [])
    assert near_pairs([None, one, None], ["a", "b", "c"], ["train", "test", "test"], 9) == (0, [])
    assert near_pairs([None], ["a"], ["train"], 9) == (0, [])


def test_all_are_counted_and_the_closest_kept() -> None:
    one = random_print()
    prints = [one, *(changed(one, bits) for bits in (30, 10, 20))]
    found = near_pairs(prints, list("abcd"), ["validation", "test", "test", "train"], kept=2)
    # validation with 3 others, and the two of test with the one of train
    assert found == (5, [Pair(0, 2, 10), Pair(1, 3, 10)])


def test_many_slices_are_compared_in_chunks_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "CHUNK", 7)
    base = [random_print() for _ in range(10)]
    prints = [changed(base[index % 10], int(rng.integers(0, 300))) for index in range(90)]
    splits = [("train", "validation", "test")[index % 3] for index in rng.permutation(90)]
    digests = [str(index % 80) for index in range(90)]
    expected = sorted(
        (distance(prints[one], prints[other]), one, other)
        for other in range(90)
        for one in range(other)
        if splits[one] != splits[other]
        and digests[one] != digests[other]
        and distance(prints[one], prints[other]) <= NEAR_BITS
    )
    assert len(expected) > 20
    count, kept = near_pairs(prints, digests, splits, 20)
    assert count == len(expected)
    assert [(pair.distance, pair.first, pair.second) for pair in kept] == expected[:20]
