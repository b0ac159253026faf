"""Reads the labelled slices of a snapshot once from their channel and keeps them in memory, prepared for training."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from model_code.errors import InstanceError
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from model_code.snapshot import Case
from model_code.transforms import Preprocessing

# Slices per thread that are read ahead: enough that no thread idles, and little memory.
READ_AHEAD = 4
SLICES_PER_LINE = 1000
LEVELS = 255

log = logging.getLogger("model_code.training.dataset")

Read = TypeVar("Read")


@dataclass(frozen=True)
class Samples:
    """Prepared slices: ``images`` N x 1 x size x size, uint8; ``targets`` N class indices; ``kinds``: the
    planes and image types that are among them; ``synthetic``: how many of them are artificial by their SyntheticData;
    ``positions``: where each lies in its series, None where its header does not say it.

    One byte a pixel keeps 10,000 slices of 512 x 512 in 2.6 GB. It rounds the usual window of 1,500 HU to steps of
    5.9 HU, an error of 1.7 HU (root mean square), where the noise of a chest CT is 10 to 40 HU.
    """

    images: torch.Tensor
    targets: torch.Tensor
    kinds: frozenset[tuple[str, str]] = frozenset()
    synthetic: int = 0
    positions: tuple[float | None, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, of: slice) -> Samples:
        """Return some of these slices, without a copy."""
        return Samples(self.images[of], self.targets[of], self.kinds)

    def image(self, index: int | slice | torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
        """Return one prepared slice or several as float32 in 0..1; they are transferred to ``device`` as bytes."""
        return self.images[index].to(device).float() / LEVELS


def quantised(image: torch.Tensor) -> torch.Tensor:
    """Return a prepared slice in 0..1 as ``Samples`` keeps it."""
    return (image * LEVELS).round_().to(torch.uint8)


def load(
    folder: Path, cases: Sequence[Case], labels: Sequence[str], preprocessing: Preprocessing
) -> tuple[Samples, list[str]]:
    """Return the cases of the channel ``folder``, decoded and prepared once, on one thread per core.

    Also returns one sentence for each unreadable slice, which begins with its line; such a slice stays black. Raises
    SnapshotError for a slice that is absent or has other bytes than the snapshot pinned. The target of a case without a
    label means nothing.
    """
    size = preprocessing.image_size
    images = torch.zeros(len(cases), 1, size, size, dtype=torch.uint8)
    problems: list[str] = []
    found: set[tuple[str, str]] = set()
    synthetic: list[bool] = []
    positions: list[float | None] = []

    def prepare(body: bytes) -> tuple[torch.Tensor, float | None]:
        ct_slice = read_slice(read_instance(body))
        if ct_slice.picture:
            found.add((ct_slice.picture.plane, ct_slice.picture.image_type))
            synthetic.append(ct_slice.picture.is_synthetic)
        return quantised(preprocessing.prepare(ct_slice)), ct_slice.position

    for number, (case, prepared) in enumerate(read_cases(folder, cases, prepare)):
        if isinstance(prepared, InstanceError):
            problems.append(f"line {case.line}: {prepared}")
        else:
            images[number], position = prepared
            positions.append(position)
        if (number + 1) % SLICES_PER_LINE == 0:
            log.info("decoded=%s of %s", number + 1, len(cases))
    targets = torch.tensor([labels.index(case.label or labels[0]) for case in cases], dtype=torch.long)
    return Samples(images, targets, frozenset(found), sum(synthetic), tuple(positions)), problems


def read_cases(
    folder: Path, cases: Sequence[Case], reader: Callable[[bytes], Read]
) -> Iterator[tuple[Case, Read | InstanceError]]:
    """Yield what ``reader`` returns for each case's verified bytes, in the cases' order, on one thread per core.

    An InstanceError of ``reader`` is yielded instead. Raises SnapshotError as ``Case.read`` does.
    """

    def read(case: Case) -> Read | InstanceError:
        try:
            return reader(case.read(folder))
        except InstanceError as error:
            return error

    threads = torch.get_num_threads()
    waiting: deque[tuple[Case, Future[Read | InstanceError]]] = deque()
    # OpenMP's thread count belongs to each calling thread: here every thread computes its own slice.
    with ThreadPoolExecutor(threads, "read", torch.set_num_threads, (1,)) as pool:
        for case in cases:
            waiting.append((case, pool.submit(read, case)))
            if len(waiting) > READ_AHEAD * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
