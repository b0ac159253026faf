"""Read phantom studies with lesions on 10 to 100 % of their slices, and print how well each rule separates the classes.

The rules are fitted on the first studies and measured on the others, with slice models that err as their numbers say.
With --trained also with a small network, which the container's command trains on pictures of phantoms first.

    python -m assurance.study_reads [--seed 11] [--fit 60] [--test 1200] [--levels 16,80] [--trained]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from assurance.study_reads.phantoms import NORMAL, READERS, Phantom, lesions, made, phantom
from assurance.study_reads.reading import FEW, Read, read, slice_figures
from assurance.typicality.__main__ import LEVELS, SIDE, UNSEEN, Size, trained
from model_code.inference import Model
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from wetread.demo.phantoms import LABELS, level_of, phantom_bytes

LEAST, LEAST_OF_FEW = 0.95, 0.85
PICTURED = 180  # studies of pictures, of which a third is for the fit
SMALL = Size(patients=120, slices=2, image_size=64)


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


def main() -> int:
    """Measure, print, and return 1 if the fitted rule misses a goal with a slice model that is made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--fit", type=int, default=60, help="studies that the rule is fitted on")
    parser.add_argument("--test", type=int, default=1200, help="other studies, on which all are measured")
    parser.add_argument("--levels", default="16,80", help="slices of a study")
    parser.add_argument("--trained", action="store_true", help="also with a network, which takes many minutes")
    options = parser.parse_args()
    held = True
    for name, reader in READERS.items():
        for levels in (int(one) for one in options.levels.split(",")):
            studies = made(reader, options.fit + options.test, levels, options.seed)
            fitted_on, tested = list(islice(studies, options.fit)), list(studies)
            found = read(fitted_on, tested)
            show(f"{name} slice model, {levels} slices", found, slice_figures(tested))
            held &= found["fitted"].auc >= LEAST and found["fitted"].few >= LEAST_OF_FEW
    if options.trained:
        with tempfile.TemporaryDirectory() as folder:
            model = trained(SMALL, options.seed, Path(folder))
        studies = pictured(model, PICTURED, options.seed)
        fitted_on, tested = list(islice(studies, PICTURED // 3)), list(studies)
        show(f"trained network, {LEVELS} slices", read(fitted_on, tested), slice_figures(tested))
    print(f"\ngoals of the fitted rule: AUC {LEAST}, and {LEAST_OF_FEW} with few lesions:", "met" if held else "MISSED")
    return not held


if __name__ == "__main__":
    sys.exit(main())
