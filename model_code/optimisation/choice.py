"""Measures the speed of the backends and decides which is to answer, with the reason in a sentence."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from model_code.backends import gpu
from model_code.backends.backend import Backend, BackendName

# How much faster a backend must be than a more trusted one; less is not worth it.
WORTH = 1.1
ROUNDS = 3
SLICES_PER_THREAD = 6


def images_per_second(backends: Mapping[BackendName, Backend], image: torch.Tensor) -> dict[BackendName, float]:
    """Return each backend's median rate over rounds in which they take turns: other work may slow any of them.

    ``image``: one prepared slice, 1 x size x size. Each computes on as many threads as in ``serve``.
    """
    at_once = gpu.threads()
    measured: dict[BackendName, list[float]] = {name: [] for name in backends}
    with ThreadPoolExecutor(at_once, "measure", torch.set_num_threads, (1,)) as threads:
        for _ in range(1 + ROUNDS):
            for name, backend in backends.items():
                started = time.perf_counter()
                list(threads.map(backend.logits, [image[None]] * SLICES_PER_THREAD * at_once))
                measured[name].append(SLICES_PER_THREAD * at_once / (time.perf_counter() - started))
    return {name: statistics.median(rates[1:]) for name, rates in measured.items()}  # the first round warms up


def choose(
    speeds: Mapping[BackendName, float], problems: Mapping[BackendName, Sequence[str]]
) -> tuple[BackendName, str]:
    """Return the backend that is to answer, and the reason.

    ``speeds``: images per second of torch and of every backend that held; ``problems``: why others did not hold.
    """
    chosen = BackendName.TORCH
    sentences: list[str] = []
    for name in BackendName:
        if name in problems:
            sentences.append(f"{name} does not hold: {'; '.join(problems[name])}.")
        elif name in speeds and name is not BackendName.TORCH:
            gain = speeds[name] / speeds[chosen]
            better = gain >= WORTH
            sentences.append(
                f"{name} holds and is {gain:.2f} x as fast as {chosen}{'' if better else ': not worth it'}."
            )
            chosen = name if better else chosen
    return chosen, " ".join(sentences)
