"""Decoding: a compressed slice to stored values in the decoder's process, by pydicom's plugin for GDCM and by ours.

python -m benchmarks.decoding [--rounds 5] [FOLDER]     (FOLDER: DICOM files; phantoms when absent)

The two take turns; medians of the rounds, in milliseconds a slice. Where they differ in a pixel, it says so and fails.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid

from model_code.reading import dicom, gdcm_plugin
from model_code.reading.decoder_process import SHARED
from model_code.reading.pixel_data import encoded_frame
from wetread.demo.phantoms import write_cohort

THEIRS = "gdcm"

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


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.folder is None:
            write_cohort(Path(scratch), patients=60, slices_per_patient=1)
        given = frames(options.folder or Path(scratch))
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


if __name__ == "__main__":
    main()
