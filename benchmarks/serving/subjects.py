"""Measured subjects: servers over HTTP, and parts of ours in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import torch

from benchmarks.memory import Peak
from benchmarks.serving import limit
from benchmarks.serving.load import Round, keep_busy, post
from model_code.backends import gpu
from model_code.errors import InstanceError
from model_code.inference import input_fn, model_fn
from model_code.reading.ct_slice import CTSlice
from tests import torchserve
from tests.serving import free_port, serving

DICOM = "application/dicom"
SECONDS_TO_START = 120


@dataclass(frozen=True)
class Subject:
    """Something that reads images for some seconds, and the memory of its processes if it is a server."""

    name: str
    measure: Callable[[float], Round]
    peak: Peak | None = None
    rounds: list[Round] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """One round more."""
        if self.peak is None:
            self.rounds.append(self.measure(seconds))
        else:
            with self.peak.watching():
                self.rounds.append(self.measure(seconds))


def over_http(name: str, process: int, port: int, bodies: Sequence[bytes], in_flight: int) -> Subject:
    """Return a server that listens on loopback, warmed up."""
    post(port, bodies, in_flight, 0.5)
    return Subject(name, lambda seconds: post(port, bodies, in_flight, seconds), Peak(process))


@contextmanager
def ours(base: Path) -> Iterator[tuple[int, int, int]]:
    """Start the container's ``serve``; return process, port, and the parallel posts of batch transform."""
    with serving(base) as (process, client):
        in_flight = client.get("/execution-parameters").json()["MaxConcurrentTransforms"]
        yield process.pid, client.base_url.port or 0, in_flight


@contextmanager
def the_sample(base: Path, image_size: int) -> Iterator[tuple[int, int]]:
    """Yield the public sample's handler: its process and its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sample_handler", str(base / "model"), str(image_size), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for_ping(process, port)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


@contextmanager
def aws_toolkit(base: Path) -> Iterator[tuple[int, int]]:
    """AWS's toolkit on TorchServe, a worker a core: its process and its port. Raises Unavailable."""
    with torchserve.torchserve(torchserve.environment(), base, workers=os.cpu_count() or 1) as server:
        yield server.process.pid, server.client.base_url.port or 0


def bare_network(name: str, base: Path, bodies: Sequence[bytes]) -> Subject:
    """Return the network alone on prepared tensors, on as many threads as in the server."""
    model = model_fn(str(base / "model"))
    images = [model.prepare(_read(body))[None] for body in bodies]

    def predict(number: int) -> None:
        model.logits(images[number % len(images)])

    return Subject(name, lambda seconds: keep_busy(predict, gpu.threads(), seconds, _one_thread))


def decoding(bodies: Sequence[bytes]) -> Subject:
    """From bytes to Hounsfield units, on one thread as in the server."""

    def decode(number: int) -> None:
        _read(bodies[number % len(bodies)])

    return Subject("decode alone", lambda seconds: keep_busy(decode, 1, seconds, _one_thread))


def arithmetic(gflop: float, precision: torch.dtype) -> Subject:
    """As many images as a matrix product's operations would make; no answers, so no seconds of each."""
    name = f"arithmetic limit, {'fp32' if precision is torch.float32 else 'fp16'}"
    return Subject(name, lambda _: Round(limit.gemm_gflops(precision) / gflop, []))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _read(body: bytes) -> CTSlice:
    reading = input_fn(body, DICOM).reading
    if isinstance(reading, InstanceError):
        raise reading
    return reading


def _wait_for_ping(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/ping")
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the sample's handler did not start (exit status {process.poll()})")
