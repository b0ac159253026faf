"""One training process among others: its rank, and what it exchanges with them.

A process reads its rank from torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT); without
them it trains alone. Each worker keeps a fixed share of the slices, so that each slice is decoded and held only once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from model_code.errors import TrainingError

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
        mine = _packed(value)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(sizes, torch.tensor([len(mine)]))
        longest = max(map(int, sizes))
        rooms = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.count)]
        dist.all_gather(rooms, nn.functional.pad(mine, (0, longest - len(mine))))
        return [_unpacked(room[: int(size)]) for room, size in zip(rooms, sizes, strict=True)]

    def broadcast(self, value: Item) -> Item:
        """Return the leading worker's ``value``, on every worker."""
        if self.count == 1:
            return value
        packed = _packed(value if self.leads else None)
        size = torch.tensor([len(packed)])
        dist.broadcast(size, src=0)
        room = packed if self.leads else torch.zeros(int(size), dtype=torch.uint8)
        dist.broadcast(room, src=0)
        return value if self.leads else _unpacked(room)

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


def _packed(value: Any) -> torch.Tensor:
    """Return the bytes of a value."""
    stream = io.BytesIO()
    torch.save(value, stream)
    return torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)


def _unpacked(packed: torch.Tensor) -> Any:
    """Return the value of bytes from another worker: tensors, numbers, texts, lists and dicts; nothing that runs.

    torch's own all_gather_object would unpickle them. Anyone who reaches the workers' ports could then run code in
    them, because neither torch's store nor gloo authenticates.
    """
    try:
        return torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common exception for what it cannot load
        raise TrainingError(f"The bytes of another worker cannot be read: {type(error).__name__}.") from error


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
