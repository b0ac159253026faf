"""Uses one test part again and again, as a service does: retrainings until one passes, and chains of promotions.

Each candidate is measured, its document is written, read and judged as in a run: at the level of its attempt, against
the champion and the reference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np

from assurance.gates.generator import Population, Setting, test_set
from functions.domain import against, evaluation, promotion
from functions.domain.against import Standing
from functions.domain.promotion import Thresholds
from functions.domain.training_run import ComparedChampion, TrainingRun
from model_code.evaluation.against import Rival, build_compared
from model_code.evaluation.document import Predictions, TestSet

DIGEST = "ab" * 32
GENERATIONS = 10
CERTAIN = 0.99  # how often a model is right on patients that it was trained on
SEEN = 0.6  # the share of the test patients that a champion of another split was trained on


@dataclass(frozen=True)
class Chain:
    """How chains of promotions ended: promotions in each, and the true loss in balanced accuracy from the start."""

    promotions: float
    loss: float
    lost_more_than_the_margin: float


class Service:
    """The champion and the reference of a simulated service, and its only test part."""

    def __init__(self, cases: TestSet, champion: Predictions, unseen: np.ndarray | None = None) -> None:
        self._cases = cases
        self._every = np.ones(len(cases.targets), bool)
        self._models = {"1": champion}
        self._unseen = self._every if unseen is None else unseen
        self.champion = _compared("1", Standing())
        self.attempts = 0

    def try_one(self, candidate: Predictions) -> bool:
        """Measure and judge a candidate; make it the champion if it passes, and return whether it did."""
        self.attempts += 1
        rivals = {"Champion": Rival(self._models[self.champion.model_package], self._unseen, known=True)}
        run = TrainingRun(run_id="", taken=True, champion=self.champion)
        if self.champion.reference:
            rivals["Reference"] = Rival(self._models[self.champion.reference], self._every, known=True)
            run = replace(run, reference=_compared(self.champion.reference, Standing()))
        document = build_compared(DIGEST, self._cases, candidate, rivals, self.attempts)
        read, limits = evaluation.parse(json.dumps(document).encode(), DIGEST), Thresholds()
        reasons = promotion.shortcomings(read, limits, against_champion=True)
        reasons += against.shortcomings(read, run, limits.champion_margin, self.attempts, reasons)
        if reasons:
            return False
        name = str(len(self._models) + 1)
        self._models[name] = candidate
        self.champion = _compared(name, against.standing(read, run))
        self._unseen = self._every
        return True


def retrained(setting: Setting, patients: int, better: float, tries: int, draws: int, seed: int) -> float:
    """Return how often one of several retrainings passes, each ``better`` than the champion (below 0: worse)."""
    passed = 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        passed += any(service.try_one(population.model(setting.balanced_accuracy + better)) for _ in range(tries))
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
        cases = test_set(setting, patients)
        rng = np.random.default_rng([seed, patients, draw])
        population = Population(setting, cases, rng)
        champion = population.model(setting.balanced_accuracy, "champion")
        unseen = cases.patients >= round(SEEN * patients)
        knowing = np.where(unseen[:, None], champion.probabilities, _knowing(cases, rng))
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


def service_of(setting: Setting, patients: int, seed: int, draw: int) -> tuple[Population, Service]:
    """Return the models of a draw, and a service whose first champion has the setting's balanced accuracy."""
    cases = test_set(setting, patients)
    population = Population(setting, cases, np.random.default_rng([seed, patients, draw]))
    return population, Service(cases, population.model(setting.balanced_accuracy, "champion"))


def _compared(name: str, standing: Standing) -> ComparedChampion:
    return ComparedChampion(
        model_package=name,
        model_package_arn="",
        artifact_uri="",
        artifact_sha256="",
        promoted_at="",
        reference=standing.reference,
        behind=standing.behind,
    )
