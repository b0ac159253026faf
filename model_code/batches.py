"""The training slices of one worker, in a new random order and newly augmented in each epoch."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from model_code import transforms
from model_code.dataset import Samples
from model_code.transforms import Preprocessing

Batch = tuple[torch.Tensor, torch.Tensor]
Item = TypeVar("Item")


class Batches:
    """Batches of ``samples``; every random choice is a function of the seed, the epoch and the worker's rank alone.

    So an epoch is the same whatever ran before it, in this process or in one that was interrupted.
    """

    def __init__(
        self, samples: Samples, preprocessing: Preprocessing, batch_size: int, per_epoch: int, seed: int, rank: int
    ) -> None:
        """Take ``per_epoch`` of the ``samples`` in each epoch: as many as every other worker can."""
        self._samples = samples
        self._batch_size = batch_size
        self._per_epoch = per_epoch
        self._seed = seed
        self._rank = rank
        self._augmenting = _Augmenting(preprocessing)

    def __len__(self) -> int:
        """How many batches an epoch has: a last batch of a single slice has no statistics, so it is left out."""
        return max(1, self._per_epoch // self._batch_size + (self._per_epoch % self._batch_size > 1))

    def of(self, epoch: int) -> Iterator[Batch]:
        """Float32 images, N x 1 x size x size in 0..1, with their N class indices; the next batch is made meanwhile."""
        seed = np.random.SeedSequence([self._seed, epoch, self._rank]).generate_state(1)
        draw = torch.Generator().manual_seed(int(seed[0]))
        order = torch.randperm(len(self._samples), generator=draw)[: self._per_epoch]
        seeds = torch.randint(2**31, (len(order),), generator=draw)
        parts = zip(torch.split(order, self._batch_size), torch.split(seeds, self._batch_size), strict=True)
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads, "augment", torch.set_num_threads, (1,)) as pool:
            started = (
                (pool.map(self._image, indices.tolist(), seeds.tolist()), self._samples.targets[indices])
                for indices, seeds in itertools.islice(parts, len(self))
            )
            for images, targets in _one_ahead(started):
                yield torch.stack(list(images)), targets

    def _image(self, index: int, seed: int) -> torch.Tensor:
        return self._augmenting.apply(self._samples.image(index), seed)


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each taken from ``items`` before the one in front of it is given out."""
    ahead = next(items)
    for item in items:
        yield ahead
        ahead = item
    yield ahead


class _Augmenting(threading.local):
    """The augmentation with its random state, made again in each thread that uses it."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._pipeline = transforms.augmentation(preprocessing)

    def apply(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        return transforms.augment(self._pipeline, image, seed)
