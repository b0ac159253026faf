"""Speed against held-out quality, by network and input size, to choose both.

python -m benchmarks.resolution [--sizes 512,384,256,224] [--patients 30] [--slices 4] [--epochs 8] [--seed 0]
    [--network densenet121]

Phantom patients are assigned to training, validation and test in turn. Each size is trained with the container's
own command, on the same slices with the same seed, and measured on the test patients with the container's evaluation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import FIGURE, run_module
from model_code import snapshot
from model_code.backends import allocator, networks, torch_backend
from model_code.evaluation import statistics
from model_code.evaluation.bootstrap import Figure, figure
from model_code.evaluation.predictions import predict
from model_code.inference import Model, model_fn
from model_code.snapshot import Split
from tests.snapshots import Labelled, phantom_slices, write_snapshot
from wetread.demo.phantoms import LABELS

SERVED_SECONDS = 5.0
HEADER = (
    "| side | GFLOP an image | an epoch | trained on | peak memory | served | balanced accuracy | mean AUC |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Training:
    """The training command's log of its last epoch, and its peak memory in bytes."""

    epoch_seconds: float
    slices_a_second: float
    peak_bytes: int


def main() -> None:
    """Train and measure each size in turn and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="512,384,256,224")
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--slices", type=int, default=4, help="of each patient")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", choices=networks.NETWORKS, default=networks.DEFAULT)
    options = parser.parse_args()
    allocator.keep_freed_memory()
    slices = phantom_slices(options.patients, options.slices, size=512, seed=options.seed)
    held = {split: sum(one.split == split for one in slices) for split in ("train", "validation", "test")}
    print(f"{options.network}, {options.patients} patients, slices {held}, {options.epochs} epochs\n{HEADER}")
    chosen = {"epochs": options.epochs, "seed": options.seed, "network": options.network}
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run = train(Path(folder), slices, chosen | {"image_size": size})
            model = model_fn(str(Path(folder) / "model"))
            accuracy, area = held_out(model, Path(folder) / "input/data", options.seed)
        print(
            f"| {size} | {gigaflops(size, options.network):.1f} "
            f"| {run.epoch_seconds:.1f} s | {run.slices_a_second:.2f} slices/s "
            f"| {run.peak_bytes / 1e9:.1f} GB | {served_a_second(model, size):.1f} images/s "
            f"| {_shown(accuracy)} | {_shown(area)} |",
            flush=True,
        )


def train(folder: Path, slices: list[Labelled], hyperparameters: Mapping[str, object]) -> Training:
    """Run the container's command in ``folder``, which gets the model."""
    write_snapshot(folder / "input/data", slices)
    (folder / "input/config").mkdir()
    texts = {name: str(value) for name, value in hyperparameters.items()}
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(texts))
    output, peak = run_module(folder, ["model_code", "train"])
    last = {name: float(value) for name, value in FIGURE.findall(output)}
    count = sum(one.split == "train" for one in slices)
    return Training(last["epoch_seconds"], count / last["train_seconds"], peak)


def held_out(model: Model, channels: Path, seed: int) -> tuple[Figure, Figure]:
    """Balanced accuracy, and the mean over the classes of the AUC, on the test slices; intervals resample patients."""
    cases = snapshot.read(channels / "snapshot" / "snapshot.json").of(Split.TEST)
    test, (predictions,) = predict([model], LABELS, cases, channels / "slices")
    resamples = test.resamples(seed)
    confusion = statistics.confusion_matrices(predictions.predicted, test.targets, len(LABELS), resamples)
    areas = [
        statistics.areas_under_curve(predictions.probabilities[:, index], test.targets == index, resamples)
        for index in range(len(LABELS))
    ]
    return figure(statistics.balanced_accuracy(confusion)), figure(np.mean(areas, axis=0))


def gigaflops(size: int, name: str) -> float:
    """Floating-point operations of the network for one image: a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        torch_backend.logits(networks.build(len(LABELS), name).eval(), torch.zeros(1, 1, size, size))
    return float(counter.get_total_flops()) / 1e9


def served_a_second(model: Model, size: int) -> float:
    """Images a second through the network alone, one at a time on a thread a core."""
    image = torch.rand(1, 1, size, size)
    ends = time.perf_counter() + SERVED_SECONDS

    def serve(_thread: int) -> int:
        done = 0
        while time.perf_counter() < ends:
            model.logits(image)
            done += 1
        return done

    threads = torch.get_num_threads()
    started = time.perf_counter()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        done = sum(pool.map(serve, range(threads)))
    return done / (time.perf_counter() - started)


def _shown(measured: Figure) -> str:
    if measured.value is None or measured.low is None or measured.high is None:
        return "undefined"
    return f"{measured.value:.2f} ({measured.low:.2f} to {measured.high:.2f})"


if __name__ == "__main__":
    main()
