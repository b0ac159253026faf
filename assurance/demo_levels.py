"""Read phantoms of every level of the chest with the demo's model, and print how many slices of each are read right.

    python -m assurance.demo_levels [MODEL.tar.gz] [--patients 5]

Without a file it reads with the champion of the local cloud, which `make demo` leaves. The phantoms are of patients
that neither the demo's training nor its uploads have, the same on every run. The goal is 80 % of the normal slices.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from functions.domain import layout
from model_code.artifacts.packing import unpack
from model_code.inference import Model, input_fn, model_fn, predict_fn
from wetread.connection import Choice, connect
from wetread.demo.phantoms import LABELS, POSITIONS, level_of, phantom_bytes
from wetread.demo.story import UPLOAD_SEED
from wetread.demo.training import SIZE
from wetread.models.artifacts import at_hand

LEVELS = 16
FIRST_PATIENT = 5000
NUMBERS = sorted(range(POSITIONS), key=level_of)[POSITIONS // LEVELS // 2 :: POSITIONS // LEVELS]
"""Numbers of slices in the middle of each sixteenth of the chest, from the apex down."""


def right(model: Model, label: str, number: int, patients: int) -> int:
    """Return how many of the patients' slices of one level are read as their class."""
    first = FIRST_PATIENT + patients * (LABELS.index(label) * LEVELS + NUMBERS.index(number))
    bodies = (phantom_bytes(label, first + one, number, size=SIZE, seed=UPLOAD_SEED) for one in range(patients))
    answers = (predict_fn(input_fn(body, "application/dicom"), model) for body in bodies)
    return sum(answer.get("Class") == label for answer in answers)


def _loaded(artifact: Path) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        unpack(artifact, Path(folder))
        return model_fn(folder)


def model_of(named: str | None) -> Model:
    """Return the named artifact's model, or that of the local cloud's champion."""
    if named:
        return _loaded(Path(named))
    connection = connect(Choice(local=True, profile=None, region=None, stack="Wetread"))
    champion = connection.registry.champion()
    if champion is None:
        sys.exit("The local cloud has no champion: run `make demo`, or name a model.tar.gz.")
    key = layout.artifact_key(champion.artifact_sha256)
    with at_hand(connection, layout.uri(connection.deployment.models_bucket_name, key)) as path:
        return _loaded(path)


def main() -> int:
    """Print the table; return 1 if fewer than 80 % of the normal slices are read right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model.tar.gz")
    parser.add_argument("--patients", type=int, default=5, help="patients for each class and level, one slice of each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, total = model_of(options.model), Counter[str]()
    print(f"Of {options.patients} slices each, read as labelled\n\n| level | {' | '.join(LABELS)} |\n{'|---' * 4}|")
    for number in NUMBERS:
        found = {label: right(model, label, number, options.patients) for label in LABELS}
        total.update(found)
        print(f"| {level_of(number):.2f} | {' | '.join(str(found[label]) for label in LABELS)} |", flush=True)
    shares = {label: total[label] / (LEVELS * options.patients) for label in LABELS}
    print(f"| all | {' | '.join(f'{100 * shares[label]:.0f} %' for label in LABELS)} |")
    return 0 if shares["normal"] >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
