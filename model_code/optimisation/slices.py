"""Selects and prepares the slices of ``optimise``, as ``serve`` prepares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from model_code.errors import InstanceError, OptimisationError
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.snapshot import Case
from model_code.training.dataset import read_cases
from model_code.transforms import Preprocessing

SHOWN_PROBLEMS = 20


def spread(cases: Sequence[Case], count: int) -> list[Case]:
    """Return at most ``count`` of the cases: each class in proportion, over as many patients as possible."""
    ordered = sorted(cases, key=lambda case: (case.label, case.patient, case.line))
    count = min(count, len(ordered))
    return [ordered[number * len(ordered) // count] for number in range(count)]


def prepare(
    folder: Path,
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    change: Callable[[CTSlice], CTSlice] = lambda unchanged: unchanged,
) -> list[torch.Tensor]:
    """Return the prepared slices of the cases, in order: float32, 1 x size x size in 0..1 each.

    ``change`` is made to each slice before it is prepared, on several threads at once.

    Raises SnapshotError for a slice with other bytes than the snapshot's, OptimisationError with every slice that
    cannot be decoded.
    """

    def prepared(body: bytes) -> torch.Tensor:
        return preprocessing.prepare(change(read_slice(read_instance(body))))

    images: list[torch.Tensor] = []
    problems: list[str] = []
    for case, one in read_cases(folder, cases, prepared):
        if isinstance(one, InstanceError):
            problems.append(f"line {case.line}: {one}")
        else:
            images.append(one)
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise OptimisationError(
            f"{len(problems)} slices cannot be decoded: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}."
        )
    return images
