"""The arithmetic limit of the processor or GPU: a matrix product's speed over the network's operations."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from openvino import opset13
from torch.utils.flop_counter import FlopCounterMode

from model_code.backends import gpu, networks, torch_backend
from model_code.backends.openvino_backend import ov
from model_code.backends.processor import CORES

ORDER, GPU_ORDER = 2048, 8192
SECONDS = 2.0


def gflop_per_image(image_size: int) -> float:
    """Billions of operations that the network takes for one image; a multiplication with its addition is two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        networks.build(3).eval()(torch.zeros(1, 1, image_size, image_size))
    return float(counter.get_total_flops()) / 1e9


def gemm_gflops(precision: torch.dtype) -> float:
    """Billions of operations a second of a matrix product on all cores, or the GPU: the best within two seconds.

    In fp32 on a processor it is the better of torch's and OpenVINO's: torch's library has slow products for AMD's.
    """
    if gpu.is_available() or precision is not torch.float32:
        return _torch(precision)
    return max(_torch(precision), _openvino())


def _torch(precision: torch.dtype) -> float:
    torch_backend.make_repeatable()  # which keeps a GPU's fp32 from being less
    on_gpu = gpu.is_available()
    order = GPU_ORDER if on_gpu else ORDER
    left, right = torch.rand(2, order, order, device="cuda" if on_gpu else "cpu").to(precision)
    product = torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=product)
        if on_gpu:
            torch.cuda.synchronize()

    return _best(multiply, order)


def _openvino() -> float:
    left, right = np.random.default_rng(0).random((2, ORDER, ORDER), np.float32)
    taken = opset13.parameter([ORDER, ORDER], np.float32)
    model = ov.Model([opset13.matmul(taken, opset13.constant(right), False, False)], [taken])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": CORES}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    return _best(lambda: request.infer([left], share_inputs=True), ORDER)


def _best(multiply: Callable[[], object], order: int) -> float:
    best = float("inf")
    ended = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < ended:
        multiply()
        best = min(best, time.perf_counter() - started)
    return 2 * order**3 / best / 1e9
