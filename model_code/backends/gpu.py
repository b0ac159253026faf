"""The backends on a GPU: fp32 as trained, or half precision, recorded once and replayed for every batch.

In half precision a GPU can compute a layer of eight slices in less time than Python needs to launch it. So the kernels
of one batch are recorded as a CUDA graph, and one call has the GPU run them all
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from model_code.backends.backend import Backend, Outputs
from model_code.backends.dynamic_batching import SLICES, DynamicBatcher
from model_code.backends.networks import with_outputs
from model_code.backends.processor import CORES
from model_code.backends.torch_backend import TorchBackend, device_of, make_repeatable

# One batch is computed while the slices of the next are prepared.
THREADS = 2 * SLICES
DRIVER = Path("/dev/nvidiactl")  # NVIDIA's container runtime shows it to a container that has GPUs
WARM_UPS = 3  # libraries choose and load their kernels in the first runs, which cannot be recorded


def is_available() -> bool:
    """Return whether this machine has a GPU that torch can use."""
    return torch.cuda.is_available()


def device() -> str:
    """Return in words what the model is computed on, for the log: a GPU host that computes without it costs the same.

    A GPU that the driver shows and torch cannot use is named: the image's CUDA is not one that the driver runs.
    """
    if is_available():
        return f"the GPU {torch.cuda.get_device_name()}"
    unused = "" if not DRIVER.exists() else ", though there is a GPU: this PyTorch cannot use it with the host's driver"
    return f"{CORES} processor cores{unused}"


def is_lost() -> bool:
    """Return whether this process can use its GPU no more: after some errors each further call fails until it ends."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def threads() -> int:
    """Return how many slices are predicted at once on this machine: one a core without a GPU."""
    return THREADS if is_available() else CORES


def in_fp32(network: nn.Module) -> Backend:
    """Move ``network``, in evaluation mode, to the GPU and return it as a backend for concurrent requests."""
    make_repeatable()
    return DynamicBatcher(TorchBackend(network.to("cuda")))


def in_half(network: nn.Module, image_size: int) -> Backend:
    """Return a copy of ``network`` in half precision on the GPU, for concurrent requests.

    Raises RuntimeError, as torch does for anything that the GPU cannot do.
    """
    make_repeatable()
    return DynamicBatcher(CudaGraphBackend(halved(network).to("cuda"), image_size))


def halved(network: nn.Module) -> nn.Module:
    """Return a copy in which convolutions and classifier take and return half precision.

    The normalisations between them keep fp32 parameters, as in torch's mixed precision: these span more than 16 bits.
    """
    half = copy.deepcopy(network)
    for module in half.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.half()
    return half


class CudaGraphBackend(Backend):
    """A network as one CUDA graph of SLICES slices; one batch at a time."""

    def __init__(self, network: nn.Module, image_size: int) -> None:
        """Run and record ``network``, which takes half precision."""
        device = device_of(network)
        network = with_outputs(network)
        self._images = torch.zeros(SLICES, 1, image_size, image_size, device=device, dtype=torch.half)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    network(self._images)
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(self._graph):
                computed: torch.Tensor | tuple[torch.Tensor, ...] = network(self._images)
        self._computed = (computed,) if isinstance(computed, torch.Tensor) else computed

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return logits and features for N x 1 x size x size images."""
        return Outputs.joined([self._replay(part) for part in torch.split(images, SLICES)])

    def _replay(self, images: torch.Tensor) -> Outputs:
        with torch.inference_mode():
            self._images[: len(images)].copy_(images)
            self._images[len(images) :].zero_()
            self._graph.replay()
            return Outputs.of([one[: len(images)] for one in self._computed])
