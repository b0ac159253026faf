"""Measures forms against each other: slices a second, with as many at once as ``serve`` computes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch

from model_code.backends import gpu
from model_code.backends.backend import Computation, Form

ROUNDS = 3
SLICES_PER_THREAD = 6


def images_per_second(forms: Mapping[Form, Computation], image: torch.Tensor) -> dict[Form, float]:
    """The median of rounds in which the forms take turns, since other work on the machine slows one or another.

    ``image``: one prepared slice, 1 x size x size. Each answers on as many threads as in ``serve``.
    """
    at_once = gpu.threads()
    measured: dict[Form, list[float]] = {form: [] for form in forms}
    with ThreadPoolExecutor(at_once, "measure", torch.set_num_threads, (1,)) as threads:
        for _ in range(1 + ROUNDS):
            for form, computation in forms.items():
                started = time.perf_counter()
                list(threads.map(computation.logits, [image[None]] * SLICES_PER_THREAD * at_once))
                measured[form].append(SLICES_PER_THREAD * at_once / (time.perf_counter() - started))
    return {form: statistics.median(rates[1:]) for form, rates in measured.items()}  # the first round warms up
