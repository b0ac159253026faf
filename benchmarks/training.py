"""Training: the container's command against the public sample's way, in turn, at the same resolution.

python -m benchmarks.training [FOLDER] [--image-size 512] [--epochs 2] [--rounds 2]

FOLDER holds DICOM files and the sample's manifest.json (the 25 public slices, say); without it phantoms are made. Every
fifth slice validates. Both are separate processes; each round gives one figure, from its last epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.snapshots import LABELS, Labelled, phantom_slices, write_snapshot

VALIDATION_EVERY = 5
FIGURE = re.compile(r"(train_seconds|epoch_seconds)=([0-9.]+)")


@dataclass(frozen=True)
class Run:
    """One process: seconds of its last epoch, without and with validation, and its peak memory in bytes."""

    train_seconds: float
    epoch_seconds: float
    peak_bytes: int


def main() -> None:
    """Run both in turn on the same files and print medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    given = _labelled(options.folder) if options.folder else phantom_slices(25, slices_per_patient=1, size=512)
    slices = [
        Labelled(one.body, one.label, one.patient, "train" if number % VALIDATION_EVERY else "validation")
        for number, one in enumerate(given)
    ]
    trained = sum(one.split == "train" for one in slices)
    print(f"{trained} slices to train on, {len(slices) - trained} to validate on, {options.image_size} pixels")
    runs: dict[str, list[Run]] = {"sample": [], "wetread": []}
    for number in range(1, options.rounds + 1):
        for name, train in (("sample", _sample), ("wetread", _wetread)):
            with tempfile.TemporaryDirectory() as folder:
                run = train(Path(folder), slices, options.image_size, options.epochs)
            runs[name].append(run)
            print(f"round {number} {name:8} {_described(run, trained)}", flush=True)
    sample, wetread = (_median(runs[name]) for name in ("sample", "wetread"))
    print(f"median  sample   {_described(sample, trained)}")
    print(f"median  wetread  {_described(wetread, trained)}")
    print(
        f"an epoch {sample.epoch_seconds / wetread.epoch_seconds:.2f} x as fast, "
        f"its training steps {sample.train_seconds / wetread.train_seconds:.2f} x, "
        f"with {wetread.peak_bytes / sample.peak_bytes:.2f} of the memory"
    )


def _labelled(folder: Path) -> list[Labelled]:
    entries = json.loads((folder / "manifest.json").read_text())
    found = {path.name: path for path in folder.rglob("*.dcm")}
    return [
        Labelled(found[Path(one["filename"]).name].read_bytes(), one["content"]["label"], one["studyId"], "train")
        for one in entries
    ]


def _sample(folder: Path, slices: list[Labelled], image_size: int, epochs: int) -> Run:
    files: dict[str, list[tuple[str, int]]] = {"train": [], "validation": []}
    for number, one in enumerate(slices):
        path = folder / f"{number}.dcm"
        path.write_bytes(one.body)
        files[one.split].append((str(path), LABELS.index(one.label)))
    (folder / "slices.json").write_text(json.dumps(files))
    arguments = ["benchmarks.sample_training", str(folder / "slices.json"), str(image_size), str(epochs)]
    output, peak = run_module(folder, arguments)
    last = json.loads(output.splitlines()[-1])
    return Run(last["train_seconds"], last["epoch_seconds"], peak)


def _wetread(folder: Path, slices: list[Labelled], image_size: int, epochs: int) -> Run:
    write_snapshot(folder / "input/data", slices)
    (folder / "input/config").mkdir()
    hyperparameters = {"epochs": str(epochs), "image_size": str(image_size)}
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    output, peak = run_module(folder, ["model_code", "train"])
    last = {name: float(value) for name, value in FIGURE.findall(output)}
    return Run(last["train_seconds"], last["epoch_seconds"], peak)


def run_module(folder: Path, arguments: list[str]) -> tuple[str, int]:
    """Run a module of this checkout; return its output and its peak memory in bytes."""
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder)}
    log = folder / "log"
    with log.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=output, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{arguments[0]} ended with {child.returncode}:\n{log.read_text()}")
    return log.read_text(), usage.ru_maxrss * 1024


def _median(runs: list[Run]) -> Run:
    return Run(
        statistics.median(run.train_seconds for run in runs),
        statistics.median(run.epoch_seconds for run in runs),
        max(run.peak_bytes for run in runs),
    )


def _described(run: Run, slices: int) -> str:
    return (
        f"epoch {run.epoch_seconds:6.1f} s, training {run.train_seconds:6.1f} s "
        f"({slices / run.train_seconds:.2f} slices/s), peak {run.peak_bytes / 1e9:.1f} GB"
    )


if __name__ == "__main__":
    main()
