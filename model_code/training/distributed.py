"""One training process among others: its rank, and what it exchanges with them.

A process reads its rank from torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT); without
them it trains alone. Each worker keeps a fixed share of the slices, so that each slice is decoded and held only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

RANK, WORLD_SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Worker:
    """This process: number ``rank`` of ``count``, which computes on ``device``."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this worker alone logs, keeps checkpoints and writes the model."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this worker's part of ``items``: every ``count``-th."""
        return list(items[self.rank :: self.count])

    def gather(self, value: Item) -> list[Item]:
        """Return every worker's ``value``, in the order of ranks, on every worker."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: Item) -> Item:
        """Return the leading worker's ``value``, on every worker."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the workers."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.count)

    def replicated(self, network: nn.Module) -> nn.Module:
        """Return ``network`` with gradients averaged over all workers."""
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        # Buffers are batch normalisation's statistics, which are averaged once per epoch.
        return DistributedDataParallel(network, devices, forward_sync_buffers=False)


@contextmanager
def joined(environ: Mapping[str, str]) -> Iterator[Worker]:
    """Yield this process's Worker, connected with the others until the context ends."""
    local_rank = int(environ.get(LOCAL_RANK, "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if RANK not in environ:
        yield Worker(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Objects travel over gloo; gradients on GPUs over NCCL.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Worker(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
