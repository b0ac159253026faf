"""Half precision and its recording: partly on a processor, completely on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from model_code.backends import gpu, networks, torch_backend
from model_code.backends.dynamic_batching import SLICES

needs_gpu = pytest.mark.skipif(not gpu.is_available(), reason="there is no GPU here")
SIZE = 64


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    return networks.build(3).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2 * SLICES + 3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_half_precision_answers_alike_and_leaves_the_network_as_it_was(
    trained: nn.Module, images: torch.Tensor
) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    half = gpu.halved(trained)
    with torch.inference_mode():
        answered = half(images.half())
    assert answered.dtype == torch.half
    torch.testing.assert_close(answered.double(), torch_backend.logits(trained, images), atol=0.01, rtol=0)
    assert not torch.equal(answered.double(), torch_backend.logits(trained, images))
    torch.testing.assert_close(dict(trained.state_dict()), before, atol=0, rtol=0)


class Graph:
    """Replays by running again on the current ``images``."""

    def __init__(self) -> None:
        self.replayed: list[torch.Tensor] = []
        self.run: Any = None

    def replay(self) -> None:
        self.replayed.append(self.run())


@pytest.fixture
def on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for CUDA's streams and graphs, which do nothing."""

    @contextlib.contextmanager
    def entered(_: object) -> Iterator[None]:
        yield

    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name, stand_in in (
        ("CUDAGraph", Graph),
        ("Stream", lambda: stream),
        ("current_stream", lambda: stream),
        ("stream", entered),
        ("graph", entered),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)


@pytest.fixture
def replayed(on_a_processor: None) -> gpu.CudaGraphBackend:
    """A recorded network that answers each slice with its sum."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().sum(dim=(2, 3))

    summing = Sum()
    backend = gpu.CudaGraphBackend(summing, image_size=2)

    def run() -> torch.Tensor:
        backend._computed[0].copy_(summing(backend._images))
        return backend._images.clone()

    backend._graph.run = run  # type: ignore[attr-defined]
    return backend


@pytest.mark.parametrize("count", [1, SLICES - 1, SLICES, SLICES + 1, 2 * SLICES + 3])
def test_any_number_of_slices_is_answered_in_order_in_batches_of_one_shape(
    replayed: gpu.CudaGraphBackend, count: int
) -> None:
    images = torch.arange(count)[:, None, None, None].expand(count, 1, 2, 2).float()
    assert replayed.logits(images).tolist() == [[4.0 * number] for number in range(count)]
    graph: Any = replayed._graph
    assert {tuple(one.shape) for one in graph.replayed} == {(SLICES, 1, 2, 2)}
    assert len(graph.replayed) == -(-count // SLICES)


def test_nothing_of_the_last_batch_is_left_beside_the_next(replayed: gpu.CudaGraphBackend) -> None:
    replayed.logits(torch.ones(SLICES, 1, 2, 2))
    replayed.logits(torch.ones(2, 1, 2, 2))
    graph: Any = replayed._graph
    assert [int(one.sum()) for one in graph.replayed] == [4 * SLICES, 8]


class Moved(nn.Module):
    """Accepts any device, and stays where it is."""

    def to(self, *_: Any, **__: Any) -> Moved:
        return self


@pytest.mark.parametrize("backend", [gpu.in_fp32, lambda moved: gpu.in_half(moved, SIZE)], ids=["fp32", "half"])
def test_nothing_is_computed_on_a_gpu_with_tf32_or_with_kernels_chosen_by_their_speed(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "CudaGraphBackend", lambda moved, image_size: moved)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    backend(Moved())
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic


def test_the_log_says_on_what_a_model_is_computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "nvidiactl")
    assert gpu.device() == f"{gpu.CORES} processor cores"
    gpu.DRIVER.touch()
    assert "though there is a GPU: this PyTorch cannot use it" in gpu.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A10G")
    assert gpu.device() == "the GPU NVIDIA A10G"


def test_a_gpu_is_lost_when_it_fails_at_any_further_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert not gpu.is_lost(), "a process that never used one has lost none"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert gpu.is_lost()
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert not gpu.is_lost()


@needs_gpu
def test_a_gpu_answers_in_fp32_as_the_processor_does(trained: nn.Module, images: torch.Tensor) -> None:
    expected = torch_backend.logits(trained, images)
    torch.testing.assert_close(gpu.in_fp32(trained).logits(images), expected, atol=1e-4, rtol=0)


@needs_gpu
def test_a_gpu_answers_in_half_precision_as_the_network_alone_does(trained: nn.Module, images: torch.Tensor) -> None:
    expected = torch_backend.logits(trained, images)
    torch.testing.assert_close(gpu.in_half(trained, SIZE).logits(images), expected, atol=0.02, rtol=0)


@needs_gpu
def test_no_answer_of_a_gpu_depends_on_other_requests(trained: nn.Module, images: torch.Tensor) -> None:
    half = gpu.in_half(trained, SIZE)
    alone = [half.logits(image[None]) for image in images]
    with ThreadPoolExecutor(gpu.threads()) as threads:
        together = list(threads.map(lambda image: half.logits(image[None]), images))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
