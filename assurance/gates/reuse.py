"""Uses one test part again and again, as a service does: retrainings until one passes, and chains of promotions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from assurance.gates.generator import Setting
from assurance.gates.service import Service, population_of, service_of
from functions.domain.promotion import Thresholds
from model_code.evaluation.document import TestSet

GENERATIONS = 10
CERTAIN = 0.99  # how often a model is right on patients that it was trained on
SEEN = 0.6  # the share of the test patients that a champion of another split was trained on


@dataclass(frozen=True)
class Chain:
    """How chains of promotions ended: promotions in each, and the true loss in balanced accuracy from the start."""

    promotions: float
    loss: float
    lost_more_than_the_margin: float


def retrained(setting: Setting, patients: int, better: float, tries: int, draws: int, seed: int) -> float:
    """Return how often one of several retrainings passes, each ``better`` than the champion (below 0: worse)."""
    passed = 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        passed += any(service.try_one(population.model(setting.balanced_accuracy + better)) for _ in range(tries))
    return passed / draws


def first_retrained(
    setting: Setting, patients: int, balanced_accuracy: float, tries: int, draws: int, seed: int
) -> float:
    """Return how often one of several retrainings of a first model passes, each with this true balanced accuracy."""
    passed = 0
    for draw in range(draws):
        population, cases = population_of(setting, patients, seed, draw)
        service = Service(cases, None)
        passed += any(service.try_one(population.model(balanced_accuracy)) for _ in range(tries))
    return passed / draws


def chained(setting: Setting, patients: int, better: float, draws: int, seed: int) -> Chain:
    """Return how chains of GENERATIONS end in which each candidate is ``better`` than the champion of its time."""
    losses, promotions = [], 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        true = setting.balanced_accuracy
        for _ in range(GENERATIONS):
            if service.try_one(population.model(true + better)):
                true += better
                promotions += 1
        losses.append(setting.balanced_accuracy - true)
    margin = Thresholds().champion_margin
    beyond = sum(loss > margin + 1e-9 for loss in losses) / draws
    return Chain(promotions=promotions / draws, loss=float(np.mean(losses)), lost_more_than_the_margin=beyond)


def after_training_on_some(
    setting: Setting, patients: int, better: float, draws: int, seed: int
) -> tuple[float, float]:
    """Return how often a candidate passes against a champion that was trained on SEEN of the test patients.

    First where these patients are left out, then where they are not.
    """
    passed = [0, 0]
    for draw in range(draws):
        population, cases = population_of(setting, patients, seed, draw)
        champion = population.model(setting.balanced_accuracy, "champion")
        unseen = cases.patients >= round(SEEN * patients)
        knowing = np.where(
            unseen[:, None], champion.probabilities, _knowing(cases, np.random.default_rng([seed, draw]))
        )
        flattered = replace(champion, probabilities=knowing, uncalibrated=knowing)
        candidate = population.model(setting.balanced_accuracy + better)
        for way, rows in enumerate((unseen, np.ones_like(unseen))):
            passed[way] += Service(cases, flattered, rows).try_one(candidate)
    return passed[0] / draws, passed[1] / draws


def _knowing(cases: TestSet, rng: np.random.Generator) -> np.ndarray:
    """Return the probabilities of a model that recognises the patients."""
    right = rng.random(len(cases.targets)) < CERTAIN
    classes = np.where(right, cases.targets, (cases.targets + 1) % len(cases.labels))
    return 0.02 / len(cases.labels) + 0.98 * np.eye(len(cases.labels))[classes]
