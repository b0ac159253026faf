"""What fewer bits change and gain: a model of phantoms in fp32, bfloat16 and 8-bit integers made in several ways.

python -m benchmarks.fewer_bits [--image-size 64] [--patients 360] [--epochs 10] [--kept 1,16,32]

It trains a model with the container's own command and compares every form with it on the patients held out, as
`optimise` does: what 99 % of the slices keep to, the largest difference of a probability, and whether the form may
serve. Speed is in processor time of one slice, in turn with fp32. "plain" is how nncf quantises by itself; "apart"
leaves the blocks' maps in fp32; "smoothed" is what `optimise` makes. ``--kept``: first layers that stay.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import nncf
import numpy as np
import torch
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

from benchmarks.training import run_module
from model_code import snapshot
from model_code.artifacts import artifact
from model_code.backends.openvino_backend import OpenVinoBackend, ov
from model_code.backends.processor import adds_bytes_exactly, multiplies_bfloat16
from model_code.backends.torch_backend import TorchBackend
from model_code.optimisation.bfloat16 import in_bfloat16
from model_code.optimisation.export import export
from model_code.optimisation.parity import INT8
from model_code.optimisation.quantisation import APART, in_full_precision, layers, quantise, restored
from model_code.optimisation.slices import prepare
from model_code.optimisation.trial import HeldOut, outputs
from model_code.snapshot import Split
from tests.snapshots import Labelled, write_snapshot
from wetread.demo.phantoms import LABELS, phantom_bytes

SPLITS = ("train", "train", "train", "validation", "test", "train", "train", "validation", "test", "train")
SIZES = (160, 256, 512)
CALIBRATION_SLICES = 128
ROUNDS, TIMED = 5, 8

Images = Sequence[torch.Tensor]
Form = tuple[str, ov.Model, str]


def trained(folder: Path, image_size: int, patients: int, epochs: int) -> tuple[torch.nn.Module, HeldOut, Images]:
    """Train on phantoms; return the network, its answers for the slices held out, and slices to calibrate on."""
    slices = [
        Labelled(
            phantom_bytes(LABELS[at % len(LABELS)], at, 0, size=SIZES[at // len(LABELS) % len(SIZES)]),
            LABELS[at % len(LABELS)],
            f"P{at}",
            SPLITS[at // len(LABELS) % len(SPLITS)],
        )
        for at in range(patients)
    ]
    write_snapshot(folder / "input/data", slices)
    (folder / "input/config").mkdir()
    chosen = {"epochs": epochs, "image_size": image_size, "batch_size": 8, "learning_rate": 5e-4}
    hyperparameters = json.dumps({name: str(value) for name, value in chosen.items()})
    (folder / "input/config/hyperparameters.json").write_text(hyperparameters)
    run_module(folder, ["model_code", "train"])
    about = artifact.describe(folder / "model")
    network = artifact.load_network(folder / "model", about)
    taken = snapshot.read(folder / "input/data/snapshot/snapshot.json")
    cases = [*taken.of(Split.VALIDATION), *taken.of(Split.TEST)]
    held_out = HeldOut.answered_by(
        TorchBackend(network),
        prepare(folder / "input/data/slices", cases, about.preprocessing),
        np.array([about.labels.index(case.label) for case in cases], np.intp),
        about.temperature,
    )
    calibration = taken.of(Split.TRAIN)[:CALIBRATION_SLICES]
    return network, held_out, prepare(folder / "input/data/slices", calibration, about.preprocessing)


def forms(model: ov.Model, images: Images, kept: Sequence[int]) -> Iterator[Form]:
    """Yield each form: what it is, its graph, and the numbers that the rest is computed with."""
    bfloat16 = multiplies_bfloat16()
    if bfloat16:
        yield "bfloat16, first layer in fp32", in_bfloat16(model, 1), "bf16"
    first = layers(model)[:1]
    yield "int8, plain, first layer in fp32", _by_nncf(model, images, first, []), "f32"
    yield "int8, apart, first layer in fp32", _by_nncf(model, images, first, list(APART)), "f32"
    quantised = quantise(model, images, exact_bytes=adds_bytes_exactly())
    for number in kept:
        made = restored(quantised, model, layers(model)[:number])
        yield f"int8, apart and smoothed, {number} in fp32", made, "f32"
        if bfloat16:
            yield f"the same, but the first in fp32, the rest of the {number} in bfloat16", in_bfloat16(made, 1), "bf16"


def _by_nncf(model: ov.Model, images: Images, kept: Sequence[str], types: list[str]) -> ov.Model:
    names = [*kept, *sorted(in_full_precision(model))]
    with contextlib.redirect_stdout(sys.stderr):  # nncf's bars
        return nncf.quantize(
            model,
            nncf.Dataset([image[None].numpy() for image in images]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=names, types=types, validate=False),
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.DISABLE if adds_bytes_exactly() else OverflowFix.ENABLE
            ),
        )


def gain(fp32: OpenVinoBackend, other: OpenVinoBackend, image: torch.Tensor) -> float:
    """Return how many times as fast ``other`` is, by medians of processor time in turn."""
    spent: dict[OpenVinoBackend, list[float]] = {fp32: [], other: []}
    for _ in range(ROUNDS):
        for backend, each in spent.items():
            backend.outputs(image[None])
            began = time.process_time()
            for _ in range(TIMED):
                backend.outputs(image[None])
            each.append(time.process_time() - began)
    return statistics.median(spent[fp32]) / statistics.median(spent[other])


def main() -> None:
    """Print a row for each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--patients", type=int, default=360)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--kept", default="1,16,32")
    options = parser.parse_args()
    nncf.set_log_level(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        network, held_out, calibration = trained(Path(folder), options.image_size, options.patients, options.epochs)
    right = float(np.mean(held_out.reference.argmax(axis=1) == held_out.targets))
    print(f"{len(held_out.images)} slices held out, {right:.0%} right\n| form | 99 % | most | may serve | x fp32 |")
    model = export(network, options.image_size)
    fp32 = OpenVinoBackend(model)
    for name, graph, precision in forms(model, calibration, [int(one) for one in options.kept.split(",")]):
        backend = OpenVinoBackend(graph, precision)
        found = held_out.compare(outputs(backend, held_out.images), INT8)
        print(
            f"| {name} | {found.usual_difference:.4f} | {found.largest_difference:.4f} "
            f"| {'no' if found.problems(INT8) else 'yes'} | {gain(fp32, backend, held_out.images[0]):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
