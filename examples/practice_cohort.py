"""Write labelled phantoms to a folder: a cohort to practise a training with, before there are slices of one's own.

    python examples/practice_cohort.py practice --patients 150 --slices 2
    wetread --local train --labels practice --wait

They are artificial, and say so in their headers. A model of them reads phantoms, and nothing else.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from wetread.demo.phantoms import LABELS, write_cohort


def main() -> None:
    """Write the cohort; print what it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; it must be empty or new")
    parser.add_argument("--patients", type=int, default=150, help="fewer have too small a test part")
    parser.add_argument("--slices", type=int, default=2, help="of each patient")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of a slice")
    parser.add_argument("--labels", default=",".join(LABELS), help="the stage's classes, separated by commas")
    parser.add_argument("--seed", type=int, default=100, help="of other patients; the demo trains on those of 0")
    options = parser.parse_args()
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty")
    labels = options.labels.split(",")
    if unknown := set(labels) - set(LABELS):
        parser.error(f"phantoms show {', '.join(LABELS)}, not {', '.join(sorted(unknown))}")
    written = write_cohort(options.folder, options.patients, options.slices, options.size, options.seed, labels)
    patients = Counter({one.patient: one.label for one in written}.values())
    counts = ", ".join(f"{patients[label]} of {label}" for label in labels)
    print(f"{len(written)} slices of {options.patients} patients ({counts}) are in {options.folder}.")


if __name__ == "__main__":
    main()
