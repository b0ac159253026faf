"""Runs the product's evaluation and model gate on simulated test sets, and counts what they answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from assurance.gates.generator import Population, Setting, test_set, truth_of
from functions.domain import evaluation, promotion
from functions.domain.promotion import Thresholds
from model_code.evaluation.document import build

DIGEST = "ab" * 32
METRICS = ("BalancedAccuracy", "Sensitivity", "Specificity", "AUC")


def coverage(setting: Setting, patients: int, draws: int, seed: int) -> Mapping[str, float]:
    """Return how often each metric's interval holds the truth; ``Width0`` is how often one has no width."""
    cases, truth = test_set(patients), truth_of(setting.balanced_accuracy)
    true = (truth.sensitivity, truth.sensitivity, truth.specificity, truth.auc)
    found: Counter[str] = Counter()
    for draw in range(draws):
        model = _population(setting, patients, seed, draw).model(setting.balanced_accuracy)
        measured = build(DIGEST, draw, cases, model, None)["Candidate"]
        first = next(iter(measured["Classes"].values()))
        figures = (measured["BalancedAccuracy"], first["Sensitivity"], first["Specificity"], first["AUC"])
        for metric, figure, value in zip(METRICS, figures, true, strict=True):
            found[metric] += _holds(figure, value)
        found["Width0"] += any(figure["Low"] == figure["High"] for figure in figures)
    return {name: found[name] / draws for name in (*METRICS, "Width0")}


def promoted(setting: Setting, patients: int, better: float, draws: int, seed: int) -> float:
    """Return how often the gate passes a candidate that is ``better`` than the champion (below 0: worse)."""
    return sum(_passes(setting, patients, better, seed, draw) for draw in range(draws)) / draws


def _passes(setting: Setting, patients: int, better: float, seed: int, draw: int) -> bool:
    population = _population(setting, patients, seed, draw)
    champion = population.model(setting.balanced_accuracy, "champion")
    return _accepted(patients, champion, population.model(setting.balanced_accuracy + better), draw)


def _accepted(patients: int, champion: Any, candidate: Any, draw: int) -> bool:
    """Return whether a candidate passes: its document is written, read and judged as in a run."""
    document = build(DIGEST, draw, test_set(patients), candidate, champion)
    read = evaluation.parse(json.dumps(document).encode(), DIGEST)
    return not promotion.shortcomings(read, Thresholds(), against_champion=True)


def _population(setting: Setting, patients: int, seed: int, draw: int) -> Population:
    return Population(setting, test_set(patients), np.random.default_rng([seed, patients, draw]))


def _holds(figure: Mapping[str, float | None], value: float) -> bool:
    low, high = figure["Low"], figure["High"]
    return low is not None and high is not None and low <= value <= high
