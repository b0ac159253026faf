"""What the processor's arithmetic allows: a matrix product's speed over the network's operations."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from model_code import network

ORDER = 2048
SECONDS = 2.0


def gflop_per_image(image_size: int) -> float:
    """Billions of operations that the network takes for one image; a multiplication with its addition is two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.build(3).eval()(torch.zeros(1, 1, image_size, image_size))
    return float(counter.get_total_flops()) / 1e9


def gemm_gflops() -> float:
    """Billions of operations a second of an fp32 matrix product on all cores: the best of those within two seconds."""
    left, right = torch.rand(ORDER, ORDER), torch.rand(ORDER, ORDER)
    product = torch.empty(ORDER, ORDER)
    best = float("inf")
    ended = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < ended:
        torch.mm(left, right, out=product)
        best = min(best, time.perf_counter() - started)
    return 2 * ORDER**3 / best / 1e9
