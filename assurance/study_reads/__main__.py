"""Read phantom studies with lesions on 10 to 100 % of their slices, and print how well each rule separates the classes.

The rules are fitted on the first studies and measured on the others, with slice models that err as their numbers say.
With --trained instead with a small network, which the container's command trains on pictures of phantoms first, all of
one level of the chest, as the demo's was.

    python -m assurance.study_reads [--seed 11] [--fit 60] [--test 1200] [--levels 16,80]
    python -m assurance.study_reads --trained [--seed 11]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from assurance.study_reads.phantoms import NORMAL, READERS, Phantom, lesions, made, phantom
from assurance.study_reads.reading import FEW, Read, read, slice_figures
from assurance.typicality.__main__ import LEVELS, SIDE, UNSEEN
from model_code.container import Container
from model_code.inference import Model, model_fn
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from model_code.training.train import train
from tests.snapshots import Labelled, write_snapshot
from wetread.demo.phantoms import LABELS, level_of, phantom_bytes

LEAST, LEAST_OF_FEW = 0.95, 0.85
PICTURED = 180  # studies of pictures, of which a third is for the fit
TRAINED = 150  # patients of a slice each
SETTINGS = {"epochs": "10", "image_size": "64", "batch_size": "8", "learning_rate": "5e-4"}


def of_one_level(folder: Path, seed: int) -> Model:
    """Return a model that the container's command has trained on the apex of phantoms' lungs, below ``folder``."""
    slices = [
        Labelled(
            phantom_bytes(LABELS[patient % 3], patient, 0, size=SIDE, seed=seed),
            LABELS[patient % 3],
            f"P{patient}",
            "validation" if patient // 3 % 4 == 3 else "train",
        )
        for patient in range(TRAINED)
    ]
    write_snapshot(folder / "input/data", slices)
    container = Container(folder)
    container.hyperparameters.parent.mkdir(parents=True)
    container.hyperparameters.write_text(json.dumps(SETTINGS))
    train(container)
    return model_fn(str(container.model_dir))


def pictured(model: Model, patients: int, seed: int) -> Iterator[Phantom]:
    """Yield studies of LEVELS pictures each, as a network reads them."""
    numbers = sorted(range(LEVELS), key=level_of)
    for patient in range(patients):
        label = LABELS[patient % len(LABELS)]
        where = lesions(np.random.default_rng([seed, 9, patient]), label, LEVELS)
        bodies = (
            phantom_bytes(label if ill else NORMAL, patient, number, size=SIDE, seed=seed + UNSEEN)
            for number, ill in zip(numbers, where, strict=True)
        )
        outputs = model.outputs(torch.stack([model.prepare(read_slice(read_instance(body))) for body in bodies]))
        scores = model.scores(outputs)
        abstained = None if scores is None else [model.abstains(one) for one in scores.tolist()]
        yield phantom(patient, label, where, model.probabilities(outputs.logits).numpy(), abstained)


def show(name: str, found: Mapping[str, Read], figures: tuple[float, float]) -> None:
    """Print the table of one slice model."""
    print(f"\n{name}: slice sensitivity {figures[0]:.2f}, specificity {figures[1]:.2f}")
    print(f"{'rule':10}{'AUC':>7}{f'< {FEW:.0%}':>8}{f'>= {FEW:.0%}':>8}{'balanced accuracy':>19}{'abstained':>11}")
    for rule, one in found.items():
        balanced = "" if one.balanced is None else f"{one.balanced:.2f}"
        print(f"{rule:10}{one.auc:7.3f}{one.few:8.3f}{one.many:8.3f}{balanced:>19}{one.abstained:11}", flush=True)


def _made(options: argparse.Namespace) -> Iterator[tuple[str, Iterator[Phantom], int]]:
    for name, reader in READERS.items():
        for levels in (int(one) for one in options.levels.split(",")):
            phantoms = made(reader, options.fit + options.test, levels, options.seed)
            yield f"{name} slice model, {levels} slices", phantoms, options.fit


def _pictured(seed: int) -> Iterator[tuple[str, Iterator[Phantom], int]]:
    with tempfile.TemporaryDirectory() as folder:
        model = of_one_level(Path(folder), seed)
    yield f"network trained on one level, {LEVELS} slices", pictured(model, PICTURED, seed), PICTURED // 3


def main() -> int:
    """Measure, print, and return 1 if the fitted rule misses a goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--fit", type=int, default=60, help="studies that the rule is fitted on")
    parser.add_argument("--test", type=int, default=1200, help="other studies, on which all are measured")
    parser.add_argument("--levels", default="16,80", help="slices of a study")
    parser.add_argument("--trained", action="store_true", help="with a network, which takes some minutes")
    options = parser.parse_args()
    held = True
    for name, phantoms, count in _pictured(options.seed) if options.trained else _made(options):
        fitted_on, tested = list(islice(phantoms, count)), list(phantoms)
        found = read(fitted_on, tested)
        show(name, found, slice_figures(tested))
        held &= found["fitted"].auc >= LEAST and found["fitted"].few >= LEAST_OF_FEW
    print(f"\ngoals of the fitted rule: AUC {LEAST}, and {LEAST_OF_FEW} with few lesions:", "met" if held else "MISSED")
    return not held


if __name__ == "__main__":
    sys.exit(main())
