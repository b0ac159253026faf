"""Runs the product's evaluation and model gate on simulated test sets, and counts what they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from assurance.gates.generator import Setting, test_set, truth_of
from assurance.gates.service import DIGEST, population_of, service_of
from functions.domain.power import BEST, power
from functions.domain.promotion import Thresholds
from functions.domain.verdict import Risk
from model_code.evaluation.document import build

METRICS = ("BalancedAccuracy", "Sensitivity", "Specificity", "AUC")


def coverage(setting: Setting, patients: int, draws: int, seed: int) -> Mapping[str, float]:
    """Return how often each metric's interval holds the truth; ``Width0`` is how often one has no width."""
    cases, truth = test_set(setting, patients), truth_of(setting.balanced_accuracy, len(setting.shares))
    true = (truth.sensitivity, truth.sensitivity, truth.specificity, truth.auc)
    found: Counter[str] = Counter()
    for draw in range(draws):
        population, _ = population_of(setting, patients, seed, draw)
        model = population.model(setting.balanced_accuracy)
        measured = build(DIGEST, cases, model, None)["Candidate"]
        first = next(iter(measured["Classes"].values()))
        figures = (measured["BalancedAccuracy"], first["Sensitivity"], first["Specificity"], first["AUC"])
        for metric, figure, value in zip(METRICS, figures, true, strict=True):
            found[metric] += _holds(figure, value)
        found["Width0"] += any(figure["Low"] == figure["High"] for figure in figures)
    return {name: found[name] / draws for name in (*METRICS, "Width0")}


def promoted(setting: Setting, patients: int, better: float, draws: int, seed: int) -> float:
    """Return how often the gate passes a candidate that is ``better`` than the champion (below 0: worse)."""
    passed = 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        passed += service.try_one(population.model(min(setting.balanced_accuracy + better, BEST)))
    return passed / draws


def left_to_a_person(setting: Setting, patients: int, draws: int, seed: int) -> float:
    """Return how often a person may decide about an equal candidate: TooFewToCompare, and nothing else against it."""
    found = 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        reasons = service.judge(population.model(setting.balanced_accuracy))
        found += {str(reason.code) for reason in reasons} == {Risk.TOO_FEW_TO_COMPARE}
    return found / draws


def predicted(setting: Setting, patients: int, better: float) -> float:
    """Return the power that ``wetread train`` prints for a test part of this size."""
    cases = test_set(setting, patients)
    by_class = [len(set(cases.patients[cases.targets == one])) for one in range(len(setting.labels))]
    slices = round(len(cases.targets) / patients)
    margin = Thresholds().champion_margin
    return power(by_class, slices, accuracy=setting.balanced_accuracy, better=better, margin=margin)


def _holds(figure: Mapping[str, float | None], value: float) -> bool:
    low, high = figure["Low"], figure["High"]
    return low is not None and high is not None and low <= value <= high
