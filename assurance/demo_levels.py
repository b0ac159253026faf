"""Read phantoms of every level of the chest with the demo's model, and print how many slices of each are read right.

    python -m assurance.demo_levels [MODEL.tar.gz] [--patients 5] [--sizes 160,256,512]

Without a file it reads with the champion of the local cloud, which `make demo` leaves. The phantoms are of patients
that neither the demo's training nor its uploads have, the same on every run, and of the training's sizes in turn. The
goals are 80 % of the normal slices, and at most 6 % of all that the model abstains on; these count as not read right.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from functions.domain import layout
from model_code.artifacts.packing import unpack
from model_code.inference import Model, input_fn, model_fn, predict_fn
from wetread.connection import Choice, connect
from wetread.demo.phantoms import LABELS, POSITIONS, level_of, phantom_bytes
from wetread.demo.story import UPLOAD_SEED
from wetread.demo.training import SIZES
from wetread.models.artifacts import at_hand

LEVELS = 16
FIRST_PATIENT = 5000
LEAST_RIGHT, MOST_ABSTAINED = 0.8, 0.06
NUMBERS = sorted(range(POSITIONS), key=level_of)[POSITIONS // LEVELS // 2 :: POSITIONS // LEVELS]
"""Numbers of slices in the middle of each sixteenth of the chest, from the apex down."""


def read(model: Model, label: str, number: int, patients: int, sizes: Sequence[int]) -> tuple[int, int]:
    """Return how many of the patients' slices of one level are read as their class, and are abstained on."""
    first = FIRST_PATIENT + patients * (LABELS.index(label) * LEVELS + NUMBERS.index(number))
    bodies = (
        phantom_bytes(label, patient, number, size=sizes[patient % len(sizes)], seed=UPLOAD_SEED)
        for patient in range(first, first + patients)
    )
    answers = [predict_fn(input_fn(body, "application/dicom"), model) for body in bodies]
    abstained = sum(answer["Typicality"]["Abstained"] for answer in answers if "Typicality" in answer)
    return sum(answer.get("Class") == label for answer in answers), abstained


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
    """Print the table; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model.tar.gz")
    parser.add_argument("--patients", type=int, default=5, help="patients for each class and level, one slice of each")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="rows and columns of the phantoms")
    options = parser.parse_args()
    sizes = [int(one) for one in options.sizes.split(",")]
    torch.set_num_threads(1)
    model, right, abstained = model_of(options.model), Counter[str](), 0
    print(f"Of {options.patients} slices each, read as labelled\n\n| level | {' | '.join(LABELS)} |\n{'|---' * 4}|")
    for number in NUMBERS:
        found = {label: read(model, label, number, options.patients, sizes) for label in LABELS}
        right.update({label: count for label, (count, _) in found.items()})
        abstained += sum(count for _, count in found.values())
        cells = " | ".join(str(found[label][0]) for label in LABELS)
        print(f"| {level_of(number):.2f} | {cells} |", flush=True)
    each = LEVELS * options.patients
    print(f"| all | {' | '.join(f'{100 * right[label] / each:.0f} %' for label in LABELS)} |")
    share = abstained / (each * len(LABELS))
    print(f"\nabstained on {abstained} of {each * len(LABELS)} ({100 * share:.1f} %)")
    return 0 if right["normal"] >= LEAST_RIGHT * each and share <= MOST_ABSTAINED else 1


if __name__ == "__main__":
    sys.exit(main())
