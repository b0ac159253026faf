"""Serving: our server against the public sample's handler, AWS's toolkit, the bare network and the processor's limit.

python -m benchmarks.serving [--image-size 512] [--seconds 10] [--rounds 2] [--folder DICOMS] [--model NAME=BASE ...]

All run side by side and are measured in turn, round after round; the table has medians. DICOMS is a folder of DICOM
files (phantoms are made without one). BASE is a folder with a model/ in it, all of one image size; without any, a
DenseNet121 is trained for --image-size first. The ratios are to the first model's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.serving import limit, start, subjects
from benchmarks.serving.subjects import Subject
from model_code import allocator, metadata
from model_code.artifact import METADATA
from model_code.packing import pack
from tests.torchserve import Unavailable
from tests.training import train
from wetread.demo.phantoms import write_cohort

MEMORY_COUNTS = (100, 500, 1000)
SMALL = 64


def main() -> None:
    """Print the table, then what is measured once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=BASE")
    options = parser.parse_args()
    allocator.keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        bodies = _bodies(options.folder, Path(scratch, "phantoms"))
        given = [(name, Path(base)) for name, base in (one.split("=", 1) for one in options.model)]
        models = given or [("torch fp32", train(Path(scratch, "opt-ml"), options.image_size).parent)]
        size = metadata.parse((models[0][1] / "model" / METADATA).read_text()).preprocessing.image_size
        print(f"{len(bodies)} slices, {size} pixels, {os.cpu_count()} cores")
        _compare(models, bodies, size, options.seconds, options.rounds)
        _once(models, bodies, Path(scratch))


def _bodies(folder: Path | None, made: Path) -> list[bytes]:
    if folder is None:
        write_cohort(made, patients=5, slices_per_patient=5)
    return [path.read_bytes() for path in sorted((folder or made).rglob("*.dcm"))]


def _compare(
    models: Sequence[tuple[str, Path]], bodies: Sequence[bytes], image_size: int, seconds: float, rounds: int
) -> None:
    gflop = limit.gflop_per_image(image_size)
    with ExitStack() as running:
        served: list[Subject] = []
        bare: list[Subject] = []
        for name, base in models:
            process, port, in_flight = running.enter_context(subjects.ours(base))
            served.append(subjects.over_http(f"our server, {name}", process, port, bodies, in_flight))
            bare.append(subjects.bare_network(f"bare network, {name}", base, bodies))
        first = models[0][1]
        others = (
            ("the sample's handler", subjects.the_sample(first, image_size)),
            ("AWS's toolkit, TorchServe", subjects.aws_toolkit(first)),
        )
        against: list[Subject] = []
        for name, server in others:
            try:
                process, port = running.enter_context(server)
            except Unavailable as error:
                print(f"{name}: skipped. {error}")
                continue
            against.append(subjects.over_http(name, process, port, bodies, in_flight))
        everything = [*against, *served, *bare, subjects.decoding(bodies), subjects.arithmetic(gflop)]
        for _ in range(rounds):
            for subject in everything:
                subject.run(seconds)
        print(f"{in_flight} posts in flight; one image takes {gflop:.1f} GFLOP; medians of {rounds} rounds")
        _print(everything, against[0], bare[0])
        share = _rate(served[0]) / _rate(everything[-1])
        print(f"our server, {models[0][0]}: {share:.0%} of the arithmetic limit")


def _print(everything: Sequence[Subject], sample: Subject, bare: Subject) -> None:
    print(f"{'':32} {'images/s':>9} {'x sample':>9} {'/ bare':>7} {'p50':>8} {'peak memory':>12}")
    for subject in everything:
        rate = _rate(subject)
        p50 = statistics.median([one for each in subject.rounds for one in each.seconds_each] or [0])
        server = f"{p50 * 1000:5.0f} ms {subject.peak.bytes / 1e6:9.0f} MB" if subject.peak else ""
        print(f"{subject.name:32} {rate:9.2f} {rate / _rate(sample):9.1f} {rate / _rate(bare):7.2f} {server}")


def _rate(subject: Subject) -> float:
    return statistics.median(one.images_per_second for one in subject.rounds)


def _once(models: Sequence[tuple[str, Path]], bodies: Sequence[bytes], scratch: Path) -> None:
    for name, base in models:
        pack(base / "model", scratch / "model.tar.gz")
        print(f"{name}: model.tar.gz {(scratch / 'model.tar.gz').stat().st_size / 1e6:.1f} MB")
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in start.start_up(base).items())
        print(f"{name}: start-up {parts}")
    small = train(scratch / "small", SMALL).parent
    held = start.memory_after(small, bodies, MEMORY_COUNTS)
    print(f"memory at {SMALL} pixels: " + ", ".join(f"{size / 1e6:.0f} MB after {count}" for count, size in held))


if __name__ == "__main__":
    main()
