"""The command ``optimise``: the same model with validated backends, or without and with the reason."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from model_code.__main__ import main
from model_code.artifacts import loading, metadata, seal
from model_code.artifacts.artifact import sha256_of
from model_code.artifacts.packing import unpack
from model_code.backends import gpu
from model_code.backends.backend import Backend, Outputs
from model_code.backends.processor import adds_bytes_exactly, multiplies_bfloat16
from model_code.backends.torch_backend import TorchBackend
from model_code.container import Container, Processing
from model_code.inference import input_fn, model_fn, predict_fn
from model_code.optimisation import command, trial
from tests.model_code.conftest import Optimised, chests, make_slice
from tests.snapshots import write_snapshot


@pytest.fixture
def job(processing: Processing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """A separate processing job on the trained model; the processor's speed decides nothing."""
    base = tmp_path / "opt-ml"
    shutil.copytree(processing.base / "input", base / "processing" / "input")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    monkeypatch.setattr(command, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(
        command, "images_per_second", lambda backends, _: {name: 2.0**n for n, name in enumerate(backends)}
    )
    return Container(base)


def run(job: Container, *options: str, reported: str = "") -> int:
    """Run the command with the training job's report of its model, or with ``reported``."""
    return main(["optimise", "--trained", reported or reported_of(job), *options])


def reported_of(job: Container) -> str:
    with TemporaryDirectory() as folder:
        if job.processing.candidate.exists():
            unpack(job.processing.candidate, Path(folder))
        return "-".join(f"{float(number)}" for number in seal.seal_of(Path(folder)))


def serving_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "metadata.json").read_text())["serving"]
    return document


def test_the_model_is_the_same_and_has_its_backends(optimised: Optimised, container: Container) -> None:
    kept = [path for path in container.model_dir.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in kept:
        if path.name != "metadata.json":
            assert (optimised.folder / path.relative_to(container.model_dir)).read_bytes() == path.read_bytes()
    about = metadata.parse((optimised.folder / "metadata.json").read_text())
    before = metadata.parse((container.model_dir / "metadata.json").read_text())
    assert replace(about, serving=before.serving) == before
    assert sorted(path.name for path in (optimised.folder / "forms").iterdir()) == [
        "openvino-bf16.bin",
        "openvino-bf16.xml",
        "openvino-fp32.bin",
        "openvino-fp32.xml",
        "openvino-int8-bf16.bin",
        "openvino-int8-bf16.xml",
        "openvino-int8.bin",
        "openvino-int8.xml",
    ]


def test_the_record_says_what_was_tried_and_what_was_found(optimised: Optimised) -> None:
    serving = serving_of(optimised.folder)
    fp32, bf16, int8, mixed = serving["proof"]["trials"]
    assert serving["form"] == mixed["form"] == "openvino-int8-bf16"
    assert int8["form"] == "openvino-int8"
    assert mixed["max_probability_difference"] != int8["max_probability_difference"] or not multiplies_bfloat16()
    assert (fp32["form"], fp32["slices"], fp32["class_changes"], fp32["problems"]) == ("openvino-fp32", 24, 0, [])
    assert 0 < fp32["max_probability_difference"] < 1e-4 < int8["max_probability_difference"]
    assert bf16["form"] == "openvino-bf16"
    assert bf16["layers_kept_in_fp32"] == int8["layers_kept_in_fp32"] == mixed["layers_kept_in_fp32"] == 1
    assert fp32["layers_kept_in_fp32"] == 120
    exact = [name for name, record in serving["forms"].items() if record["exact_bytes"]]
    assert exact == (["openvino-int8", "openvino-int8-bf16"] if adds_bytes_exactly() else [])
    assert serving["proof"]["calibration_slices"] == 24
    assert serving["proof"]["reason"].startswith("openvino-fp32 holds and is 2.00 x as fast as torch.")
    assert fp32["p99_probability_difference"] == fp32["max_probability_difference"], "of 24 slices, each counts"
    weights = [(optimised.folder / "forms" / f"openvino-{bits}.bin").stat().st_size for bits in ("fp32", "int8")]
    assert weights[1] < 0.4 * weights[0]


def test_what_the_network_itself_changes_by_stands_beside_the_backends(optimised: Optimised) -> None:
    proof = serving_of(optimised.folder)["proof"]
    assert list(proof["stability"]) == ["one_pixel_of_shift", "10_HU_of_noise"]
    for name, moved in proof["stability"].items():
        assert moved["slices"] == 24
        assert moved["max_probability_difference"] > 0
        said = f"with {name.replace('_', ' ')} by at most {moved['max_probability_difference']:.2g} ("
        assert said in proof["reason"]
    assert {*moved} <= {*proof["trials"][0]}, "the same figures, by the same code"


def test_every_backend_answers_a_slice_alike(
    optimised: Optimised, container: Container, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "multiplies_bfloat16", lambda: False)
    whole, trained = model_fn(str(optimised.folder)), model_fn(str(container.model_dir))
    answers = [predict_fn(input_fn(body, "application/dicom"), model) for model in (whole, trained)]
    assert [answer["Model"]["Form"] for answer in answers] == ["openvino-int8", "torch"]
    assert answers[0]["Class"] == answers[1]["Class"]
    assert answers[0]["Probabilities"] == pytest.approx(answers[1]["Probabilities"], abs=0.2)
    assert answers[0]["Probabilities"] != answers[1]["Probabilities"]


@pytest.mark.parametrize(
    ("enough", "asked", "has", "name"),
    [
        (1, [1], False, "openvino-int8"),
        (3, [1, 2, 4, 3], False, "openvino-int8"),
        (3, [1, 2, 4, 3], True, "openvino-int8-bf16"),
        (88, [1, 2, 4, 8, 16, 32, 64, 88, 76, 82, 85, 86, 87], False, "openvino-int8"),
    ],
)
def test_layers_are_kept_until_int8_holds(
    job: Container,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    enough: int,
    asked: list[int],
    has: bool,
    name: str,
) -> None:
    seen: list[int] = []

    def with_first(_: Any, model: Any, kept: Any) -> Any:
        """Hold with enough layers: the exported network; with fewer, one with a weaker classifier."""
        seen.append(len(kept))
        return model if len(kept) >= enough else weakened(model, by=0.8)

    monkeypatch.setattr(command, "multiplies_bfloat16", lambda: has)
    monkeypatch.setattr(command, "try_bfloat16", lambda *_: [])
    monkeypatch.setattr(trial, "quantise", lambda model, *_, **__: model)
    monkeypatch.setattr(trial, "restored", with_first)
    assert run(job) == 0
    unpack(job.processing.optimised, tmp_path / "model")
    trials = serving_of(tmp_path / "model")["proof"]["trials"]
    assert seen == asked
    assert sorted(one["layers_kept_in_fp32"] for one in trials) == sorted([120, *asked])
    assert trials[-1]["problems"] == []
    assert trials[-1]["layers_kept_in_fp32"] == min(one for one in asked if one >= enough)
    assert serving_of(tmp_path / "model")["form"] == name


@pytest.mark.parametrize(
    ("enough", "asked"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 4, 3]), (21, [1, 2, 4, 8, 16, 32, 24, 20, 22, 21])]
)
def test_as_few_layers_as_hold_are_kept_beside_bfloat16(
    job: Container, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, enough: int, asked: list[int]
) -> None:
    seen: list[int] = []

    def marked(model: Any, kept: int) -> Any:
        seen.append(kept)
        return model if kept >= enough else weakened(model, by=0.8)

    monkeypatch.setattr(command, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(trial, "in_bfloat16", marked)
    monkeypatch.setattr(command, "try_int8", lambda *_: [])
    assert run(job) == 0
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert seen == asked
    trials = [one for one in serving["proof"]["trials"] if one["form"] == "openvino-bf16"]
    assert (trials[-1]["layers_kept_in_fp32"], trials[-1]["problems"]) == (enough, [])
    assert serving["form"] == "openvino-bf16"


def weakened(model: Any, by: float) -> Any:
    """A graph of the same shape, with the classifier's weights multiplied."""
    ov = pytest.importorskip("openvino")
    copied = model.clone()
    node = next(one for one in copied.get_ordered_ops() if one.get_type_name() == "MatMul")
    weights = node.input_value(1)
    node.input(1).replace_source_output(
        ov.opset15.multiply(weights, ov.op.Constant(by * torch.ones(1).numpy())).output(0)
    )
    return copied


def test_a_backend_that_never_holds_is_not_in_the_artifact(
    job: Container, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trial, "quantise", lambda model, *_, **__: weakened(model, by=0.0))
    monkeypatch.setattr(trial, "restored", lambda quantised, *_: quantised)
    assert run(job) == 0
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert serving["form"] == "openvino-fp32"
    assert list(serving["forms"]) == ["openvino-fp32"]
    assert len(serving["proof"]["trials"]) == 2, "so far from the network, no further share is tried"
    assert "openvino-int8 does not hold: a probability differs by" in serving["proof"]["reason"]


def test_without_8_bit_integers_none_is_tried(job: Container, tmp_path: Path) -> None:
    assert run(job, "--fp32-only") == 0
    assert job.message.read_text() == sha256_of(job.processing.optimised)  # what is measured and promoted
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert [one["form"] for one in serving["proof"]["trials"]] == ["openvino-fp32"]
    assert serving["proof"]["calibration_slices"] == 0
    assert serving["proof"]["stability"] == {}, "measured only where a backend of fewer bits is tried"


def test_backends_that_are_not_worth_it_are_not_in_the_artifact(
    job: Container, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "images_per_second", lambda backends, _: dict.fromkeys(backends, 1.0))
    assert run(job, "--fp32-only") == 0
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert (serving["form"], serving["forms"]) == ("torch", {})
    assert "openvino-fp32 holds and is 1.00 x as fast as torch: not worth it." in serving["proof"]["reason"]


def failure(job: Container) -> str:
    assert run(job) == 1
    assert not job.processing.optimised.exists()
    return job.message.read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "code/inference.py").write_text("import os\n"),
        lambda folder: (
            (folder / "code/model_code/__pycache__").mkdir() or (folder / "code/model_code/__pycache__/a").touch()
        ),
        lambda folder: (
            (folder / "code/requirements.txt").rename(folder / "code/requirements.in")
            and (folder / "code/requirements.txt").touch()
        ),
    ],
    ids=["another script", "a compiled module", "a renamed file"],
)
def test_another_candidate_than_was_trained_is_refused(
    job: Container, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    reported = reported_of(job)
    unpack(job.processing.candidate, tmp_path / "model")
    change(tmp_path / "model")
    with tarfile.open(job.processing.candidate, "w:gz") as archive:
        archive.add(tmp_path / "model", ".")
    assert run(job, reported=reported) == 1
    assert not job.processing.optimised.exists()
    assert job.message.read_text().startswith("The candidate is not what the training job wrote")


def test_a_training_job_that_reported_no_numbers_ends_the_command(job: Container) -> None:
    assert run(job, reported="0-1-2-3-4") == 1
    assert run(job, reported="nothing") == 1
    assert not job.processing.optimised.exists()


def test_training_says_the_digest_of_the_model_that_it_wrote(container: Container, job: Container) -> None:
    (line,) = (one for one in (container.base / "training.log").read_text().splitlines() if "model_digest" in one)
    assert "-".join(f"{float(number)}" for number in re.findall(r"model_digest_\d=(\d+)", line)) == reported_of(job)


def test_a_job_without_a_candidate_says_so(job: Container) -> None:
    job.processing.candidate.unlink()
    assert failure(job) == "There is no model.tar.gz in the input named candidate."


def test_without_held_out_slices_nothing_can_be_validated(job: Container) -> None:
    shutil.rmtree(job.processing.snapshot.parent)
    shutil.rmtree(job.processing.slices)
    write_snapshot(job.processing.base / "input", [one for one in chests() if one.split == "train"])
    assert failure(job).startswith("The snapshot has no validation or test slices to validate a backend on")


def test_a_held_out_slice_that_cannot_be_decoded_is_named(job: Container) -> None:
    shutil.rmtree(job.processing.snapshot.parent)
    shutil.rmtree(job.processing.slices)
    slices = chests()
    line = next(number for number, one in enumerate(slices) if one.split == "test")
    slices[line] = replace(slices[line], body=make_slice(NumberOfFrames=2))
    write_snapshot(job.processing.base / "input", slices)
    assert f"line {line + 1}: MultiFrame" in failure(job)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended GPU: the processor computes for it, also in half precision."""
    monkeypatch.setattr(gpu, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "in_fp32", TorchBackend)
    monkeypatch.setattr(gpu, "in_half", lambda network, image_size: Halved(gpu.halved(network)))


class Halved(TorchBackend):
    def outputs(self, images: torch.Tensor) -> Outputs:
        return super().outputs(images.half())


@pytest.mark.usefixtures("a_gpu")
def test_on_a_gpu_half_precision_is_validated_and_no_backend_of_the_processor(job: Container, tmp_path: Path) -> None:
    assert run(job) == 0
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert (serving["form"], list(serving["forms"])) == ("torch-half", ["torch-half"])
    (tried,) = serving["proof"]["trials"]
    assert (tried["form"], tried["slices"], tried["problems"]) == ("torch-half", 24, [])
    assert 0 < tried["max_probability_difference"] < 0.02
    assert not (tmp_path / "model/forms").exists()
    assert model_fn(str(tmp_path / "model")).identity["Form"] == "torch-half"


class Broken(Backend):
    """Fails when it is recorded, or when it computes."""

    def __init__(self, *, recorded: bool) -> None:
        if not recorded:
            self.outputs(None)

    def outputs(self, images: torch.Tensor | None) -> Outputs:
        raise RuntimeError("CUDA error: out of memory")


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("recorded", [False, True])
def test_a_gpu_that_cannot_compute_half_precision_serves_fp32(
    job: Container, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: bool
) -> None:
    monkeypatch.setattr(gpu, "in_half", lambda *_: Broken(recorded=recorded))
    assert run(job) == 0
    unpack(job.processing.optimised, tmp_path / "model")
    serving = serving_of(tmp_path / "model")
    assert (serving["form"], serving["forms"], serving["proof"]["trials"]) == ("torch", {}, [])
    expected = "torch-half does not hold: the GPU cannot compute it: CUDA error: out of memory."
    assert serving["proof"]["reason"] == expected


@pytest.mark.usefixtures("a_gpu")
def test_on_a_gpu_fp32_only_tries_nothing(job: Container, tmp_path: Path) -> None:
    assert run(job, "--fp32-only") == 0
    unpack(job.processing.optimised, tmp_path / "model")
    assert (serving_of(tmp_path / "model")["form"], serving_of(tmp_path / "model")["proof"]["trials"]) == ("torch", [])
