"""Measure the gate's rule for calibration on simulated test sets with known truth, and print three tables.

    python -m assurance.calibration [--draws 400] [--seed 7] [--patients 12,24,60,200]

A model whose probabilities hold should be refused in 0.05 of the runs at most, one with logits 20 times too sharp in
0.95 at least; the interval of the calibration error should hold the truth in 0.95 or more. Beside it is how often the
too sharp model makes any mistake at all on the test part: where it makes none, nothing distinguishes it from a perfect
one. The last table is the shift of probabilities by class weights, and what is left of it after the log prior.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch

from assurance.gates.generator import BASE, HIGH, Population, Setting, test_set
from functions.domain.documents import Fields
from functions.domain.evaluation import calibration_of
from functions.domain.promotion import Thresholds, too_poor
from model_code import calibration
from model_code.evaluation.document import Predictions, TestSet, calibrated
from model_code.evaluation.statistics import CALIBRATION_BINS

SHARPNESS = (1.0, 2.0, 20.0)  # by which the logits of a perfectly calibrated model are multiplied
ENDLESS = 6000  # patients, for the truth
PRIORS = ((0.95, 0.03, 0.02), (0.8, 0.1, 0.1))


def measured(setting: Setting, patients: int, sharpness: float, draws: int, seed: int) -> Mapping[str, float]:
    """Return how often a model of this sharpness is refused, makes a mistake, and has the truth in its interval."""
    cases, truth = test_set(setting, patients), true_error(setting, sharpness)
    found: Counter[str] = Counter()
    for draw in range(draws):
        population = Population(setting, cases, np.random.default_rng([seed, patients, draw]))
        model = population.model(setting.balanced_accuracy, sharpness=sharpness)
        document = calibrated(model, cases)
        found["Refused"] += refused(document)
        found["Mistakes"] += bool((model.predicted != cases.targets).any())
        found["Covered"] += document["Error"]["Low"] <= truth <= document["Error"]["High"]
        found["Value"] += document["Error"]["Value"]
    return {name: found[name] / draws for name in ("Refused", "Mistakes", "Covered", "Value")} | {"Truth": truth}


def refused(document: Mapping[str, object]) -> bool:
    """Return whether the model gate refuses an evaluation's Calibration object."""
    read = calibration_of(Fields(document, "Calibration"))
    assert read is not None
    return bool(too_poor(read, Thresholds().max_calibration_error))


@functools.cache
def true_error(setting: Setting, sharpness: float) -> float:
    """Return the calibration error on very many patients, by its definition: nothing is corrected there."""
    cases = test_set(setting, ENDLESS)
    model = Population(setting, cases, np.random.default_rng(3)).model(setting.balanced_accuracy, sharpness=sharpness)
    return 0.0 if sharpness == 1 else _plain_error(model, cases)


def _plain_error(model: Predictions, cases: TestSet) -> float:
    squares = []
    for index in range(len(cases.labels)):
        probability = model.probabilities[:, index]
        tenth = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        differences = np.bincount(tenth, probability - (cases.targets == index), CALIBRATION_BINS)
        slices = np.maximum(np.bincount(tenth, minlength=CALIBRATION_BINS), 1)
        squares.append((differences**2 / slices).sum() / len(cases.targets))
    return float(np.sqrt(np.mean(squares)))


def prior_shift(shares: tuple[float, ...], seed: int) -> tuple[list[float], list[float]]:
    """Return each class's mean probability as a multiple of its share: by class weights, and with the log prior.

    The network has learned as if the classes were equally frequent, with logits twice too sharp.
    """
    generator = torch.Generator().manual_seed(seed)
    targets = torch.multinomial(torch.tensor(shares), 40_000, replacement=True, generator=generator)
    scores = torch.randn(len(targets), len(shares), generator=generator, dtype=torch.double)
    scores[torch.arange(len(targets)), targets] += 2
    logits = 2 * (2 * scores)
    frequencies = torch.bincount(targets).double() / len(targets)
    found = calibration.calibrate(logits, targets, [int(1000 * one) for one in shares], calibration.FEWEST_PATIENTS)
    shifted = logits + torch.tensor(found.of_logits, dtype=torch.double)
    before = calibration.probabilities(logits, calibration.fit_temperature(logits, targets))
    after = calibration.probabilities(shifted, found.temperature)
    return tuple((one.mean(dim=0) / frequencies).tolist() for one in (before, after))  # type: ignore[return-value]


def main() -> int:
    """Print the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400, help="test sets for each cell")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--patients", default="12,24,60,200")
    options = parser.parse_args()
    print(f"{options.draws} draws, seed {options.seed}\n\n| setting | patients | sharpness | refused |", end="")
    print(" makes a mistake | error, mean | truth | covered |\n" + "|---" * 8 + "|")
    for setting in (BASE, HIGH):
        for patients in (int(one) for one in options.patients.split(",")):
            for sharpness in SHARPNESS:
                found = measured(setting, patients, sharpness, options.draws, options.seed)
                figures = (found[name] for name in ("Refused", "Mistakes", "Value", "Truth", "Covered"))
                cells = " | ".join(f"{one:.3f}" for one in figures)
                print(f"| {setting.name} | {patients} | {sharpness:g} | {cells} |", flush=True)
    print(f"\n| shares of the classes | mean p / share, class weights | with the log prior |\n{'|---' * 3}|")
    for shares in PRIORS:
        cells = " | ".join(", ".join(f"{one:.2f}" for one in ratios) for ratios in prior_shift(shares, options.seed))
        print(f"| {', '.join(f'{100 * one:g} %' for one in shares)} | {cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
