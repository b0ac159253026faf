"""OpenVINO's backend: torch's answers, the same whatever runs beside it, and no telemetry."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from model_code.artifacts import artifact
from model_code.backends.backend import Outputs
from model_code.backends.openvino_backend import OpenVinoBackend
from model_code.backends.torch_backend import TorchBackend
from model_code.container import Container
from model_code.optimisation import export as exporting
from model_code.optimisation.export import export, serialised
from tests.model_code.conftest import SIZE


@pytest.fixture(scope="module")
def trained(container: Container) -> TorchBackend:
    return TorchBackend(artifact.load_network(container.model_dir, artifact.describe(container.model_dir)))


@pytest.fixture(scope="module")
def backend(container: Container) -> OpenVinoBackend:
    network = artifact.load_network(container.model_dir, artifact.describe(container.model_dir))
    return OpenVinoBackend.read(*serialised(export(network, SIZE)))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(5, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def test_it_answers_as_torch_does(backend: OpenVinoBackend, trained: TorchBackend, images: torch.Tensor) -> None:
    expected = trained.logits(images)
    answered = backend.logits(images)
    assert (answered.dtype, answered.shape) == (torch.float64, expected.shape)
    torch.testing.assert_close(answered, expected, atol=1e-4, rtol=0)


def test_it_returns_the_features_that_torch_does_for_one_slice_and_for_many(
    backend: OpenVinoBackend, trained: TorchBackend, images: torch.Tensor
) -> None:
    expected = trained.outputs(images).features
    assert expected is not None
    assert expected.shape == (5, 1024)
    for answered in (
        backend.outputs(images).features,
        Outputs.joined([*map(backend.outputs, images[:, None])]).features,
    ):
        torch.testing.assert_close(answered, expected, atol=1e-4, rtol=0)


def test_a_graph_from_before_there_were_features_gives_logits_alone(
    container: Container, trained: TorchBackend, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "with_outputs", lambda network: network)
    network = artifact.load_network(container.model_dir, artifact.describe(container.model_dir))
    old = OpenVinoBackend.read(*serialised(export(network, SIZE)))
    for some in (images, images[:1]):
        answered = old.outputs(some)
        assert answered.features is None
        torch.testing.assert_close(answered.logits, trained.logits(some), atol=1e-4, rtol=0)


def test_one_slice_is_answered_as_among_others_and_on_many_threads(
    backend: OpenVinoBackend, images: torch.Tensor
) -> None:
    together = backend.logits(images)
    with ThreadPoolExecutor(4) as threads:
        alone = list(threads.map(lambda number: backend.logits(images[number % 5][None]), range(20)))
    for number, answer in enumerate(alone):
        assert torch.equal(answer[0], together[number % 5])


def test_an_answer_is_not_overwritten_by_the_next(backend: OpenVinoBackend, images: torch.Tensor) -> None:
    first = backend.logits(images[:1])
    kept = first.clone()
    backend.logits(images[1:2])
    assert torch.equal(first, kept)


def test_slices_need_not_lie_in_memory_one_after_another(backend: OpenVinoBackend, images: torch.Tensor) -> None:
    turned = images.transpose(2, 3)
    assert torch.equal(backend.logits(turned[:1]), backend.logits(turned.contiguous()[:1]))


@pytest.mark.parametrize("spoilt", [(b"<net", b""), (b"", b"")])
def test_files_that_are_no_graph(spoilt: tuple[bytes, bytes]) -> None:
    with pytest.raises(RuntimeError):
        OpenVinoBackend.read(*spoilt)


SILENT = """
import socket
def refuse(*_args, **_kwargs): raise SystemExit("it spoke to the network")
socket.getaddrinfo = socket.socket.connect = refuse
from model_code.backends import openvino_backend
from openvino.tools import ovc
assert ovc.telemetry.__class__.__module__ == "openvino.tools.ovc.telemetry_stub", ovc.telemetry
import nncf, sys
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


def test_nothing_is_reported_to_the_makers_of_openvino() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
