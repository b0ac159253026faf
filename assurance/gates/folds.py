"""Judges candidates by folds: every patient of a cohort is tested once, by one of several models trained alike.

The patients of a fold share a model, so what is wrong with it is wrong for all of them. Each of these models' true
balanced accuracy is drawn around the one that the way of training has, with a stated standard deviation. The interval
of the comparison assumes one of 0.03: these simulations show what happens where it is another.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from assurance.gates.generator import Population, Setting, test_set
from assurance.gates.service import Service
from functions.domain.folds import FEWEST_FOLDS
from functions.domain.promotion import Thresholds

FOLDS = 5
SPREADS = (0.0, 0.02, 0.04)


def promoted(setting: Setting, patients: int, better: float, spread: float, draws: int, seed: int) -> float:
    """Return how often a candidate is promoted at its first attempt; its training is ``better`` than the champion's."""
    passed = 0
    for draw in range(draws):
        population, service = _service(setting, patients, spread, seed, draw)
        passed += service.try_one(population.by_folds(_true(setting, better), folds_for(setting, patients), spread))
    return passed / draws


def retrained(
    setting: Setting, patients: int, better: float, spread: float, tries: int, draws: int, seed: int
) -> float:
    """Return how often one of several retrainings is promoted."""
    passed = 0
    for draw in range(draws):
        population, service = _service(setting, patients, spread, seed, draw)
        folds = folds_for(setting, patients)
        passed += any(service.try_one(population.by_folds(_true(setting, better), folds, spread)) for _ in range(tries))
    return passed / draws


def folds_for(setting: Setting, patients: int) -> int:
    """Return FOLDS, or as many as the rarest class has patients, and FEWEST_FOLDS at least."""
    return max(FEWEST_FOLDS, min(FOLDS, patients * min(setting.shares) // sum(setting.shares)))


def unseen_loss(spread: float) -> float:
    """Return how often of two models of equal training one is worse than the other by more than the margin.

    No figure by folds can show that: it is of the way of training, and each whole model is one draw of it.
    """
    margin = Thresholds().champion_margin
    return NormalDist().cdf(-margin / (spread * math.sqrt(2))) if spread else 0.0


def _true(setting: Setting, better: float) -> float:
    return min(setting.balanced_accuracy + better, 0.98)


def _service(setting: Setting, patients: int, spread: float, seed: int, draw: int) -> tuple[Population, Service]:
    cases = replace(test_set(setting, patients), folds=folds_for(setting, patients))
    population = Population(setting, cases, np.random.default_rng([seed, patients, draw]))
    champion = population.by_folds(setting.balanced_accuracy, folds_for(setting, patients), spread, "champion")
    return population, Service(cases, champion)
