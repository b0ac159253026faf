"""Runs the product's evaluation and model gate on simulated test sets, and counts what they answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import numpy as np

from assurance.gates.generator import Population, Setting, test_set, truth_of
from functions.domain import evaluation, promotion
from functions.domain.power import BEST, power
from functions.domain.promotion import Thresholds
from functions.domain.verdict import Risk
from model_code.evaluation.document import Predictions, build

DIGEST = "ab" * 32
PROMOTED = "Promoted"
METRICS = ("BalancedAccuracy", "Sensitivity", "Specificity", "AUC")


def coverage(setting: Setting, patients: int, draws: int, seed: int) -> Mapping[str, float]:
    """Return how often each metric's interval holds the truth; ``Width0`` is how often one has no width."""
    cases, truth = test_set(setting, patients), truth_of(setting.balanced_accuracy, len(setting.shares))
    true = (truth.sensitivity, truth.sensitivity, truth.specificity, truth.auc)
    found: Counter[str] = Counter()
    for draw in range(draws):
        model = _population(setting, patients, seed, draw).model(setting.balanced_accuracy)
        measured = build(DIGEST, cases, model, None)["Candidate"]
        first = next(iter(measured["Classes"].values()))
        figures = (measured["BalancedAccuracy"], first["Sensitivity"], first["Specificity"], first["AUC"])
        for metric, figure, value in zip(METRICS, figures, true, strict=True):
            found[metric] += _holds(figure, value)
        found["Width0"] += any(figure["Low"] == figure["High"] for figure in figures)
    return {name: found[name] / draws for name in (*METRICS, "Width0")}


def judged(setting: Setting, patients: int, better: float, draws: int, seed: int) -> Mapping[str, float]:
    """Return how often the gate passes a candidate that is ``better`` than the champion (below 0: worse).

    ``TooFewToCompare`` is how often a person may decide instead, because nothing else is said against it.
    """
    found: Counter[str] = Counter()
    for draw in range(draws):
        population = _population(setting, patients, seed, draw)
        champion = population.model(setting.balanced_accuracy, "champion")
        codes = _against(setting, patients, population.model(min(setting.balanced_accuracy + better, BEST)), champion)
        found[PROMOTED] += not codes
        found[Risk.TOO_FEW_TO_COMPARE] += codes == {Risk.TOO_FEW_TO_COMPARE}
    return {name: found[name] / draws for name in (PROMOTED, Risk.TOO_FEW_TO_COMPARE)}


def promoted_first(setting: Setting, patients: int, balanced_accuracy: float, draws: int, seed: int) -> float:
    """Return how often the gate passes a first model with this true balanced accuracy."""
    passed = 0
    for draw in range(draws):
        candidate = _population(setting, patients, seed, draw).model(balanced_accuracy)
        passed += not _against(setting, patients, candidate, None)
    return passed / draws


def predicted(setting: Setting, patients: int, better: float) -> float:
    """Return the power that ``wetread train`` prints for a test part of this size."""
    cases = test_set(setting, patients)
    by_class = [len(set(cases.patients[cases.targets == one])) for one in range(len(setting.labels))]
    slices = round(len(cases.targets) / patients)
    margin = Thresholds().champion_margin
    return power(by_class, slices, accuracy=setting.balanced_accuracy, better=better, margin=margin)


def _against(setting: Setting, patients: int, candidate: Predictions, champion: Predictions | None) -> set[str]:
    """Return the reasons against a candidate: its document is written, read and judged as in a run."""
    document = build(DIGEST, test_set(setting, patients), candidate, champion)
    read = evaluation.parse(json.dumps(document).encode(), DIGEST)
    found = promotion.shortcomings(read, Thresholds(), against_champion=champion is not None)
    return {str(reason.code) for reason in found}


def _population(setting: Setting, patients: int, seed: int, draw: int) -> Population:
    return Population(setting, test_set(setting, patients), np.random.default_rng([seed, patients, draw]))


def _holds(figure: Mapping[str, float | None], value: float) -> bool:
    low, high = figure["Low"], figure["High"]
    return low is not None and high is not None and low <= value <= high
