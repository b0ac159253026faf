"""Yields the training slices of one worker, in a new random order and newly augmented in each epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch

from model_code.training import augmentation
from model_code.training.dataset import Samples
from model_code.training.distributed import Worker

Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """Batches of ``samples``; every random choice depends on the seed, the epoch and the worker's rank alone.

    So an epoch is the same whatever ran before it, in this process or in an interrupted one.
    """

    def __init__(self, samples: Samples, batch_size: int, per_epoch: int, seed: int, worker: Worker) -> None:
        """Take ``per_epoch`` of the ``samples`` in each epoch, the same number on every worker."""
        self._samples = samples
        self._batch_size = batch_size
        self._per_epoch = per_epoch
        self._seed = seed
        self._worker = worker

    def __len__(self) -> int:
        """Return the number of batches of an epoch; a last batch of one slice has no statistics and is left out."""
        return max(1, self._per_epoch // self._batch_size + (self._per_epoch % self._batch_size > 1))

    def of(self, epoch: int) -> Iterator[Batch]:
        """Yield float32 images, N x 1 x size x size in 0..1 on the worker's device, and their N class indices.

        They are made on demand on the network's device. On a processor that takes a hundredth of the network's time,
        and separate threads would only compete with it.
        """
        seed = np.random.SeedSequence([self._seed, epoch, self._worker.rank]).generate_state(1)
        draw = torch.Generator().manual_seed(int(seed[0]))
        order = torch.randperm(len(self._samples), generator=draw)[: self._per_epoch]
        poses = augmentation.drawn(len(order), draw)
        parts = zip(torch.split(order, self._batch_size), torch.split(poses, self._batch_size), strict=True)
        for indices, of_these in itertools.islice(parts, len(self)):
            images = self._samples.image(indices, self._worker.device)
            yield augmentation.apply(images, of_these), self._samples.targets[indices]
