"""The arithmetic limit of the processor or GPU: a matrix product's speed over the network's operations."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from model_code.backends import gpu, networks, torch_backend

ORDER, GPU_ORDER = 2048, 8192
SECONDS = 2.0


def gflop_per_image(image_size: int) -> float:
    """Billions of operations that the network takes for one image; a multiplication with its addition is two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        networks.build(3).eval()(torch.zeros(1, 1, image_size, image_size))
    return float(counter.get_total_flops()) / 1e9


def gemm_gflops(precision: torch.dtype) -> float:
    """Billions of operations a second of a matrix product on all cores, or the GPU: the best within two seconds."""
    torch_backend.make_repeatable()  # which keeps a GPU's fp32 from being less
    on_gpu = gpu.is_available()
    order = GPU_ORDER if on_gpu else ORDER
    left, right = torch.rand(2, order, order, device="cuda" if on_gpu else "cpu").to(precision)
    product = torch.empty_like(left)
    best = float("inf")
    ended = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < ended:
        torch.mm(left, right, out=product)
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * order**3 / best / 1e9
