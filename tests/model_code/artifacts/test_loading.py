"""Which backend of an artifact answers on a machine: the chosen one, unless it computes something else there."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model_code.artifacts import loading
from model_code.backends import gpu
from model_code.backends.backend import Backend, Outputs
from model_code.backends.torch_backend import TorchBackend
from model_code.errors import ArtifactError
from model_code.inference import Model, model_fn
from tests.model_code.conftest import Optimised

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def _a_processor_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "multiplies_bfloat16", lambda: False)


@pytest.fixture
def folder(optimised: Optimised, tmp_path: Path) -> Path:
    """A copy of the optimised model's folder, to spoil."""
    return Path(shutil.copytree(optimised.folder, tmp_path / "model"))


def change(folder: Path, edit: Change) -> None:
    document = json.loads((folder / "metadata.json").read_text())
    edit(document["serving"])
    (folder / "metadata.json").write_text(json.dumps(document))


def backend_of(folder: Path) -> str:
    model: Model = model_fn(str(folder))
    return model.identity["Form"]


def test_the_chosen_backend_answers(folder: Path) -> None:
    assert backend_of(folder) == "openvino-int8"
    change(folder, lambda serving: serving.update(form="openvino-fp32"))
    assert backend_of(folder) == "openvino-fp32"
    change(folder, lambda serving: serving.update(form="torch"))
    assert backend_of(folder) == "torch"


def other_logits(name: str) -> Change:
    return lambda serving: serving["forms"][name].update(probe_logits=[9.0, -9.0, 0.0])


def test_a_backend_that_computes_something_else_here_is_replaced(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(folder, other_logits("openvino-int8"))
    with caplog.at_level(logging.WARNING):
        assert backend_of(folder) == "openvino-fp32"
    assert "the backend openvino-int8 is not used: this machine computes it differently" in caplog.text
    change(folder, other_logits("openvino-fp32"))
    assert backend_of(folder) == "torch"


def test_nothing_replaces_torch(folder: Path) -> None:
    document = json.loads((folder / "metadata.json").read_text())
    document["serving"]["form"] = "torch"
    document["probe"]["logits"] = [9.0, -9.0, 0.0]
    (folder / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="answers the known slice"):
        model_fn(str(folder))


def test_without_openvino_torch_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "model_code.backends.openvino_backend", None)
    with caplog.at_level(logging.WARNING):
        assert backend_of(folder) == "torch"
    assert caplog.text.count("OpenVINO cannot be imported") == 2


STREAMS = """
import sys
from concurrent.futures import ThreadPoolExecutor
import torch
from model_code.inference import model_fn
with ThreadPoolExecutor(1, "predict", torch.set_num_threads, (1,)) as threads:
    model = threads.submit(model_fn, sys.argv[1]).result()
assert int(model.backend._compiled.get_property("NUM_STREAMS")) == torch.get_num_threads()
"""


@pytest.mark.skipif(torch.get_num_threads() < 2, reason="one core: there are no others that could compute")
def test_every_core_computes_though_the_thread_that_loads_has_one(optimised: Optimised) -> None:
    command = [sys.executable, "-c", STREAMS, str(optimised.folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("exact", "expected"), [(True, "openvino-int8"), (False, "openvino-fp32")])
def test_full_8_bit_weights_need_a_processor_that_adds_them_exactly(
    folder: Path, monkeypatch: pytest.MonkeyPatch, exact: bool, expected: str
) -> None:
    monkeypatch.setattr(loading, "adds_bytes_exactly", lambda: exact)
    change(folder, lambda serving: serving["forms"]["openvino-int8"].update(exact_bytes=True))
    assert backend_of(folder) == expected


@pytest.mark.parametrize(
    ("chosen", "has", "expected"),
    [
        ("openvino-bf16", True, "openvino-bf16"),
        ("openvino-bf16", False, "openvino-fp32"),
        ("openvino-int8-bf16", True, "openvino-int8-bf16"),
        ("openvino-int8-bf16", False, "openvino-fp32"),
    ],
)
def test_bfloat16_needs_a_processor_that_multiplies_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, has: bool, expected: str
) -> None:
    monkeypatch.setattr(loading, "multiplies_bfloat16", lambda: has)
    change(folder, lambda serving: serving.update(form=chosen))
    change(folder, lambda serving: serving["forms"].pop("openvino-int8"))  # such a host has tried no other 8 bits
    (folder / "forms/openvino-int8.xml").unlink()
    (folder / "forms/openvino-int8.bin").unlink()
    assert backend_of(folder) == expected


def test_8_bits_beside_bfloat16_need_exact_sums_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(loading, "adds_bytes_exactly", lambda: False)
    for name in ("openvino-int8", "openvino-int8-bf16"):
        change(folder, lambda serving, name=name: serving["forms"][name].update(exact_bytes=True))
    assert backend_of(folder) == "openvino-bf16"


def test_other_weights_are_refused_though_no_backend_computes_with_them(folder: Path) -> None:
    with (folder / "model.pth").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ArtifactError, match=r"model\.pth has the sha256 .* one of the two was replaced"):
        model_fn(str(folder))


@pytest.mark.parametrize("name", ["openvino-int8.bin", "openvino-int8.xml"])
def test_a_backend_with_replaced_files_is_refused(folder: Path, name: str) -> None:
    with (folder / "forms" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ArtifactError, match=f"{name} has the sha256 .* one of the two was replaced"):
        model_fn(str(folder))
    (folder / "forms" / name).unlink()
    with pytest.raises(ArtifactError, match=f"lacks {name}"):
        model_fn(str(folder))


def with_half(serving: dict[str, Any], known_logits: list[float]) -> None:
    record = {"files_sha256": {}, "probe_logits": known_logits, "exact_bytes": False}
    serving.update(form="torch-half", forms={"torch-half": record})


@pytest.fixture
def for_a_gpu(folder: Path) -> Path:
    """A model that half precision is to serve, as ``optimise`` leaves it on a GPU."""
    known_logits = json.loads((folder / "metadata.json").read_text())["probe"]["logits"]
    change(folder, lambda serving: with_half(serving, known_logits))
    return folder


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended GPU: the processor computes for it."""
    monkeypatch.setattr(gpu, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "in_fp32", TorchBackend)
    monkeypatch.setattr(gpu, "in_half", lambda network, image_size: TorchBackend(network))


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_answers_in_half_precision_where_that_was_chosen(for_a_gpu: Path) -> None:
    assert backend_of(for_a_gpu) == "torch-half"


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_that_computes_half_precision_otherwise_answers_in_fp32(
    for_a_gpu: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(for_a_gpu, lambda serving: with_half(serving, [9.0, -9.0, 0.0]))
    with caplog.at_level(logging.WARNING):
        assert backend_of(for_a_gpu) == "torch"
    assert "the backend torch-half is not used: this machine computes it differently" in caplog.text


class Broken(Backend):
    """Fails when it is recorded, or when it computes."""

    def __init__(self, *, recorded: bool) -> None:
        if not recorded:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def outputs(self, images: torch.Tensor | None) -> Outputs:
        raise RuntimeError("CUDA error: out of memory")


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("recorded", [False, True])
def test_a_gpu_that_cannot_compute_half_precision_answers_in_fp32(
    for_a_gpu: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, recorded: bool
) -> None:
    monkeypatch.setattr(gpu, "in_half", lambda *_: Broken(recorded=recorded))
    with caplog.at_level(logging.WARNING):
        assert backend_of(for_a_gpu) == "torch"
    assert "the backend torch-half is not used: the GPU cannot compute it: CUDA error" in caplog.text


def test_without_a_gpu_the_processor_answers_in_fp32(for_a_gpu: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert backend_of(for_a_gpu) == "torch"
    assert "the backend torch-half is not used: this machine has no GPU." in caplog.text


@pytest.mark.usefixtures("a_gpu")
def test_on_a_gpu_no_backend_of_a_processor_answers(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert backend_of(folder) == "torch"
    assert caplog.text.count("it is for processors, and this machine has a GPU.") == 4
