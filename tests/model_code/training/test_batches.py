"""An epoch's batches: a function of seed, epoch and rank alone, whatever ran before."""

from __future__ import annotations

import pytest
import torch

from model_code.training.batches import Batches
from model_code.training.dataset import Samples, quantised
from model_code.training.distributed import Worker

EPOCH = list[tuple[torch.Tensor, torch.Tensor]]


def worker(rank: int) -> Worker:
    return Worker(rank, 2, torch.device("cpu"))


def batches(slices: int = 10, *, size: int = 4, per_epoch: int = 10, seed: int = 1, rank: int = 0) -> Batches:
    images = quantised(torch.rand(slices, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    return Batches(Samples(images, torch.arange(slices)), size, per_epoch, seed, worker(rank))


def equal(one: EPOCH, other: EPOCH) -> bool:
    return all(
        torch.equal(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    ("slices", "size", "expected"), [(8, 4, [4, 4]), (9, 4, [4, 4]), (10, 4, [4, 4, 2]), (3, 8, [3])]
)
def test_a_last_batch_of_one_slice_is_left_out(slices: int, size: int, expected: list[int]) -> None:
    made = batches(slices, size=size, per_epoch=slices)
    assert len(made) == len(expected)
    assert [len(targets) for _, targets in made.of(1)] == expected


def test_an_epoch_has_every_slice_once_with_its_own_target() -> None:
    made = batches()
    seen = torch.cat([targets for _, targets in made.of(1)])
    assert sorted(seen.tolist()) == list(range(10))
    assert seen.tolist() != list(range(10))
    flat = Samples(quantised(torch.arange(10)[:, None, None, None].expand(10, 1, 32, 32) / 10), torch.arange(10))
    for images, targets in Batches(flat, 4, 10, 0, worker(0)).of(1):
        assert images.dtype == torch.float32
        # The middle of an evenly grey slice stays grey, however it is turned.
        assert images[:, 0, 16, 16].tolist() == pytest.approx((targets / 10).tolist(), abs=0.01)


def test_an_epoch_is_the_same_whatever_ran_before_it() -> None:
    made = batches()
    list(made.of(1))
    second = list(made.of(2))
    assert equal(second, list(batches().of(2)))
    assert not equal(second, list(batches().of(1)))


def test_an_epoch_is_the_same_on_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    epochs = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            epochs.append(list(batches().of(1)))
    finally:
        torch.set_num_threads(before)
    assert equal(*epochs)


def test_seed_and_rank_change_the_order() -> None:
    def order(**changes: int) -> list[int]:
        return [int(target) for _, targets in batches(**changes).of(1) for target in targets]

    assert len({tuple(order(**changes)) for changes in ({}, {"seed": 2}, {"rank": 1})}) == 3


def test_no_more_slices_are_taken_than_every_worker_has() -> None:
    assert sum(len(targets) for _, targets in batches(10, per_epoch=8).of(1)) == 8
