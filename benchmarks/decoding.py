"""Decoding: compressed slices by pydicom's plugin for GDCM and by ours, and whole objects to Hounsfield units.

python -m benchmarks.decoding [--rounds 5] [FOLDER]     (FOLDER: DICOM files; phantoms when absent)

The two take turns in the decoder's process; medians of the rounds, in milliseconds a slice. Where they differ in a
pixel, it says so and fails. Then two threads read objects as the server does, from bytes to Hounsfield units: slices a
second on the clock, and a second of two cores' processor time, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid

from benchmarks.memory import descendants
from benchmarks.serving.cost import spent
from benchmarks.serving.load import keep_busy
from model_code.backends import allocator
from model_code.inference import DICOM_TYPE, input_fn
from model_code.reading import dicom, gdcm_plugin
from model_code.reading.decoder_process import SHARED
from model_code.reading.pixel_data import encoded_frame
from wetread.demo.phantoms import write_cohort

THEIRS = "gdcm"
CORES = 2
SECONDS = 4.0

Frame = tuple[uid.UID, dict[str, Any], bytes]


def frames(folder: Path) -> list[Frame]:
    """Return the frames below ``folder`` that both plugins decode: syntax, attributes of the pixels, codestream."""
    found: list[Frame] = []
    for path in sorted(folder.rglob("*.dcm")):
        elements = dicom.read_instance(path.read_bytes())
        if elements.transfer_syntax in gdcm_plugin.SYNTAXES:
            attributes = dicom._pixel_attributes(elements)
            found.append((elements.transfer_syntax, attributes, encoded_frame(elements, attributes).data))
    if not found:
        raise SystemExit(f"{folder} has no slice in {', '.join(syntax.name for syntax in gdcm_plugin.SYNTAXES)}.")
    return found


def milliseconds(plugin: str, given: Sequence[Frame]) -> float:
    """Return the mean seconds a frame."""
    started = time.perf_counter()
    for syntax, attributes, codestream in given:
        SHARED.decode(syntax, plugin, attributes, codestream)
    return (time.perf_counter() - started) * 1000 / len(given)


def of_two_cores(bodies: Sequence[bytes]) -> tuple[float, float]:
    """Return the slices a second that are read on two threads, by the clock and by their processor time."""

    def read(number: int) -> None:
        input_fn(bodies[number % len(bodies)], DICOM_TYPE)

    def processor_seconds() -> float:
        return time.process_time() + sum(map(spent, descendants(os.getpid(), "decoder_process")))

    keep_busy(read, CORES, SECONDS / 4, lambda: None)
    began = processor_seconds()
    done = keep_busy(read, CORES, SECONDS, lambda: None)
    return done.images_per_second, CORES * len(done.seconds_each) / (processor_seconds() - began)


def main() -> None:
    """Print both and their ratio, and the slices a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    allocator.keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        if options.folder is None:
            write_cohort(Path(scratch), patients=60, slices_per_patient=1)
        given = frames(options.folder or Path(scratch))
        bodies = [path.read_bytes() for path in sorted((options.folder or Path(scratch)).rglob("*.dcm"))]
    for syntax, attributes, codestream in given:
        one, other = (SHARED.decode(syntax, plugin, attributes, codestream) for plugin in (THEIRS, gdcm_plugin.NAME))
        np.testing.assert_array_equal(one, other)
    rounds = [[milliseconds(plugin, given) for plugin in (THEIRS, gdcm_plugin.NAME)] for _ in range(options.rounds)]
    theirs, ours = (statistics.median(each) for each in zip(*rounds, strict=True))
    print(
        f"{len(given)} slices, equal in every pixel: pydicom's plugin {theirs:.1f} ms, ours {ours:.1f} ms a slice, ",
        end="",
    )
    print(f"{theirs / ours:.2f} x as fast")
    whole = [of_two_cores(bodies) for _ in range(options.rounds)]
    clock, processor = (statistics.median(each) for each in zip(*whole, strict=True))
    print(f"from bytes to Hounsfield units on two cores: {clock:.0f} slices/s, ", end="")
    print(f"{processor:.0f} a second of their processor time")


if __name__ == "__main__":
    main()
