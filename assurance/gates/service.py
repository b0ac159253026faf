"""A simulated service: its champion, its reference, its only test part, and its gates.

Each candidate is measured, its document is written, read and judged as in a run: against thresholds, champion and
reference, at the level of its attempt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assurance.gates.generator import Floats, Population, Setting, test_set
from functions.domain import against, evaluation, promotion
from functions.domain.against import Standing
from functions.domain.evaluation import Evaluation
from functions.domain.promotion import Thresholds
from functions.domain.training_run import ComparedChampion, TrainingRun
from functions.domain.verdict import Reason
from model_code.evaluation import intervals
from model_code.evaluation.against import Rival, build_compared
from model_code.evaluation.document import Predictions, TestSet
from model_code.evaluation.intervals import FEWEST_PATIENTS

DIGEST = "ab" * 32


class Service:
    """The champion (None before the first) and the reference of a service, and its only test part.

    ``unseen`` are the slices of patients that the champion was not trained on.
    """

    def __init__(self, cases: TestSet, champion: Predictions | None, unseen: np.ndarray | None = None) -> None:
        self._cases = cases
        self._every = np.ones(len(cases.targets), bool)
        self._models = {"1": champion} if champion else {}
        self._unseen = self._every if unseen is None else unseen
        self.champion = _compared("1", Standing()) if champion else None
        self.attempts = 0

    def judge(self, candidate: Predictions) -> Sequence[Reason]:
        """Measure and judge a candidate as one more attempt; return the reasons against it."""
        return self._judge(candidate)[0]

    def try_one(self, candidate: Predictions) -> bool:
        """Judge a candidate; make it the champion if it passes, and return whether it did."""
        if self._hopeless(candidate):
            self.attempts += 1
            return False
        reasons, read, run = self._judge(candidate)
        if reasons:
            return False
        name = str(len(self._models) + 1)
        self._models[name] = candidate
        self.champion = _compared(name, against.standing(read, run))
        self._unseen = self._every
        return True

    def _hopeless(self, candidate: Predictions) -> bool:
        """Return whether balanced accuracy alone refuses a candidate; the rest takes nine tenths of the time."""
        if not self._unseen.all() or self._cases.clusters.fewest < FEWEST_PATIENTS:
            return False
        right, limits = _right(candidate, self._cases), Thresholds()
        if self.champion is None:
            low, least = intervals.mean_of_classes(right, self._cases.clusters).low, limits.min_balanced_accuracy
        else:
            champion = _right(self._models[self.champion.model_package], self._cases)
            low = intervals.difference(right, champion, self._cases.clusters, self._cases.folds).figure.low
            least = -limits.champion_margin
        return low is not None and low < least

    def _judge(self, candidate: Predictions) -> tuple[Sequence[Reason], Evaluation, TrainingRun]:
        self.attempts += 1
        rivals, run = {}, TrainingRun(run_id="", taken=True, champion=self.champion)
        if self.champion:
            rivals["Champion"] = Rival(self._models[self.champion.model_package], self._unseen, known=True)
            if self.champion.reference:
                rivals["Reference"] = Rival(self._models[self.champion.reference], self._every, known=True)
                run = replace(run, reference=_compared(self.champion.reference, Standing()))
        document = build_compared(DIGEST, self._cases, candidate, rivals, self.attempts)
        read, limits = evaluation.parse(json.dumps(document).encode(), DIGEST), Thresholds()
        reasons = promotion.shortcomings(read, limits, against_champion=self.champion is not None)
        reasons += against.shortcomings(read, run, limits.champion_margin, self.attempts, reasons)
        return reasons, read, run


def _right(model: Predictions, cases: TestSet) -> Floats:
    return (model.predicted == cases.targets).astype(float)


def population_of(setting: Setting, patients: int, seed: int, draw: int) -> tuple[Population, TestSet]:
    """Return the models of a draw, and its test part."""
    cases = test_set(setting, patients)
    return Population(setting, cases, np.random.default_rng([seed, patients, draw])), cases


def service_of(setting: Setting, patients: int, seed: int, draw: int) -> tuple[Population, Service]:
    """Return the models of a draw, and a service whose first champion has the setting's balanced accuracy."""
    population, cases = population_of(setting, patients, seed, draw)
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
