"""Serving: our server against the public sample's handler, AWS's toolkit, the bare network and the processor's limit.

python -m benchmarks.serving [--image-size 512] [--seconds 10] [--rounds 3] [--folder DICOMS]

All run side by side and are measured in turn, round after round; the table has medians. DICOMS is a folder of DICOM
files (phantoms are made without one). The model is a DenseNet121, hardly trained, which does not change its speed, in
every backend that ``optimise`` lets serve. "/ bare" is relative to the bare network of that backend, else torch's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from benchmarks.serving import cost, limit, start, subjects
from benchmarks.serving.subjects import Subject
from model_code.artifacts.artifact import METADATA
from model_code.backends import allocator, gpu
from tests.torchserve import Unavailable
from tests.training import optimise, train
from wetread.demo.phantoms import write_cohort

MEMORY_COUNTS = (100, 500, 1000)
COSTED = 200
SMALL = 64
TORCH = "torch"


def main() -> None:
    """Print the table, then the single measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    allocator.keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        bodies = _bodies(options.folder, Path(scratch, "phantoms"))
        models = optimise(train(Path(scratch, "opt-ml"), options.image_size).parent)
        validation = json.loads((models[TORCH] / "model" / METADATA).read_text())["serving"]["proof"]
        print(f"{len(bodies)} slices, {options.image_size} pixels, {os.cpu_count()} cores. {validation['reason']}")
        _compare(models, bodies, options.image_size, options.seconds, options.rounds)
        _once(models, bodies, Path(scratch))


def _bodies(folder: Path | None, made: Path) -> list[bytes]:
    if folder is None:
        write_cohort(made, patients=5, slices_per_patient=5)
    return [path.read_bytes() for path in sorted((folder or made).rglob("*.dcm"))]


def _compare(models: Mapping[str, Path], bodies: Sequence[bytes], image_size: int, seconds: float, rounds: int) -> None:
    gflop = limit.gflop_per_image(image_size)
    with ExitStack() as running:
        served: dict[str, Subject] = {}
        bare: dict[str, Subject] = {}
        for backend, base in models.items():
            process, port, in_flight = running.enter_context(subjects.ours(base))
            served[backend] = subjects.over_http(f"our server, {backend}", process, port, bodies, in_flight)
            bare[backend] = subjects.bare_network(f"bare network, {backend}", base, bodies)
        others = (
            ("the sample's handler", subjects.the_sample(models[TORCH], image_size)),
            ("AWS's toolkit, TorchServe", subjects.aws_toolkit(models[TORCH])),
        )
        against: list[Subject] = []
        for name, server in others:
            try:
                process, port = running.enter_context(server)
            except Unavailable as error:
                print(f"{name}: skipped. {error}")
                continue
            against.append(subjects.over_http(name, process, port, bodies, in_flight))
        limit_ = subjects.arithmetic(gflop, torch.float32)
        limits = [limit_, subjects.arithmetic(gflop, torch.half)] if gpu.is_available() else [limit_]
        everything = [*against, *served.values(), *bare.values(), subjects.decoding(bodies), *limits]
        for _ in range(rounds):
            for subject in everything:
                subject.run(seconds)
        print(f"{in_flight} posts in flight; one image takes {gflop:.1f} GFLOP; medians of {rounds} rounds")
        own = {subject.name: bare[backend] for backend, subject in served.items()}
        _print(everything, against[0], {subject.name: own.get(subject.name, bare[TORCH]) for subject in everything})
        for subject in served.values():
            print(f"{subject.name}: {_rate(subject) / _rate(limit_):.0%} of the fp32 arithmetic limit")


def _print(everything: Sequence[Subject], sample: Subject, bare: Mapping[str, Subject]) -> None:
    print(f"{'':32} {'images/s':>9} {'x sample':>9} {'/ bare':>7} {'p50':>8} {'peak memory':>12}")
    for subject in everything:
        rate = _rate(subject)
        ratios = f"{rate / _rate(sample):9.1f} {rate / _rate(bare[subject.name]):7.2f}"
        p50 = statistics.median([one for each in subject.rounds for one in each.seconds_each] or [0])
        server = f"{p50 * 1000:5.0f} ms {subject.peak.bytes / 1e6:9.0f} MB" if subject.peak else ""
        print(f"{subject.name:32} {rate:9.2f} {ratios} {server}")


def _rate(subject: Subject) -> float:
    return statistics.median(one.images_per_second for one in subject.rounds)


def _once(models: Mapping[str, Path], bodies: Sequence[bytes], scratch: Path) -> None:
    for name, base in models.items():
        print(f"{name}: model.tar.gz {(base / 'model.tar.gz').stat().st_size / 1e6:.1f} MB")
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in start.start_up(base).items())
        print(f"{name}: start-up {parts}")
        if sys.platform == "linux":
            spent = ", ".join(f"{part} {ms:.1f} ms" for part, ms in cost.processor_ms(base, bodies, COSTED).items())
            print(f"{name}: processor time a slice: {spent}")
    small = train(scratch / "small", SMALL).parent
    held = start.memory_after(small, bodies, MEMORY_COUNTS)
    print(f"memory at {SMALL} pixels: " + ", ".join(f"{size / 1e6:.0f} MB after {count}" for count, size in held))


if __name__ == "__main__":
    main()
