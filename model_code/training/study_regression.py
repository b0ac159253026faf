"""Fits the rule by which the slices of a study become one answer: a logistic regression for each class.

Its features are the numbers of a series (``aggregation.slices``), of studies whose slices the network has not learnt
from. Higher probabilities never lower a score: their coefficients are not negative. Thresholds are chosen on scores of
studies that the regression has not seen, since its own are too good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]

from aggregation.rule import DECIMALS, INTERCEPT, SIMPLE, K, Rule
from aggregation.slices import NAMES, Slice, numbers_of
from aggregation.study import read_study
from model_code.studies import Study

PARTS = 10  # of the patients, each scored by a regression on the others, from which thresholds are chosen
PENALTY = 1.0  # of a coefficient's square, in standard deviations of its number; that of scikit-learn's default
LEAST_SPREAD = 1e-4  # a number that varies less is the same in all series
COEFFICIENT_DECIMALS = 8
FREE = "count"  # more slices may lower a score: of many one is high by chance

Floats = npt.NDArray[np.float64]


def fitted(studies: Sequence[Study], classes: Sequence[str], simple: Rule, sensitivity: float) -> Rule:
    """Return the regression of each of the ``classes`` on the studies, with its thresholds.

    ``sensitivity`` is the least that a class's threshold is chosen for; 0 for the threshold with the highest sum of
    sensitivity and specificity (Youden).
    """
    thresholds = {label: _threshold(*_unseen(studies, label, simple), sensitivity) for label in classes}
    return replace(_regression(studies, classes, simple), thresholds=thresholds)


def series_of(study: Study) -> list[list[Slice]]:
    """Return the slices that count of each series that does not abstain."""
    read = {one.series for one in read_study(study.slices, SIMPLE).series if not one.abstained}
    return [[one for one in study.slices if one.series == uid and not one.abstained] for uid in sorted(read)]


def _regression(studies: Sequence[Study], classes: Sequence[str], simple: Rule) -> Rule:
    return replace(simple, coefficients={label: _coefficients(studies, label) for label in classes})


def _coefficients(studies: Sequence[Study], label: str) -> dict[str, float]:
    """Return the penalised regression of a class against all others, each patient with the same weight."""
    series = [(study, slices) for study in studies for slices in series_of(study)]
    table = np.array([[getattr(numbers_of(slices, label, K), name) for name in NAMES] for _, slices in series])
    of_patient: dict[str, int] = {}
    for study, _ in series:
        of_patient[study.patient] = of_patient.get(study.patient, 0) + 1
    weights = np.array([1 / of_patient[study.patient] for study, _ in series])
    signs = np.array([1.0 if study.label == label else -1.0 for study, _ in series])
    middle, spread = table.mean(axis=0), table.std(axis=0)
    varies = spread > LEAST_SPREAD
    scaled = np.where(varies, (table - middle) / np.where(varies, spread, 1.0), 0.0)

    def loss(values: Floats) -> tuple[float, Floats]:
        margins = signs * (values[0] + scaled @ values[1:])
        pull = -weights * signs / (1 + np.exp(np.minimum(margins, 500)))
        value = float(weights @ np.logaddexp(0, -margins)) + PENALTY / 2 * float(values[1:] @ values[1:])
        return value, np.concatenate([[pull.sum()], pull @ scaled + PENALTY * values[1:]])

    bounds = [(None, None), *((None, None) if name == FREE else (0.0, None) for name in NAMES)]
    start = np.zeros(1 + len(NAMES))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000}).x
    slopes = np.where(varies, found[1:] / np.where(varies, spread, 1.0), 0.0)
    values = [float(found[0] - slopes @ middle), *slopes.tolist()]
    return {name: round(value, COEFFICIENT_DECIMALS) for name, value in zip((INTERCEPT, *NAMES), values, strict=True)}


def _unseen(studies: Sequence[Study], label: str, simple: Rule) -> tuple[list[float], list[bool]]:
    """Return each study's score of a class by a regression on other patients, and whether it has the class.

    Patients are dealt to the parts class by class, so that every part's others have both.
    """
    patients = {study.patient: study.label == label for study in studies}
    dealt = sorted(patients, key=lambda patient: (patients[patient], patient))
    part_of = {patient: at % PARTS for at, patient in enumerate(dealt)}
    scores: list[float] = []
    truth: list[bool] = []
    for part in range(PARTS):
        others = [study for study in studies if part_of[study.patient] != part]
        rule = _regression(others, [label], simple)
        for study in studies:
            if part_of[study.patient] == part:
                scores.append(max(rule.score(slices, label) for slices in series_of(study)))
                truth.append(study.label == label)
    return scores, truth


def _threshold(scores: Sequence[float], truth: Sequence[bool], sensitivity: float) -> float:
    """Return the threshold between two scores that is best, of equally good ones the one that is nearest to 0.5.

    With a least ``sensitivity`` it is the highest that reaches it.
    """
    values, positive = np.array(scores), np.array(truth)
    edges = np.unique(np.concatenate([[0.0], values, [1.0]]))
    cuts = (edges[:-1] + edges[1:]) / 2
    hits = np.array([(values[positive] >= cut).mean() for cut in cuts])
    if sensitivity:
        reached = cuts[hits >= sensitivity]
        return _rounded(float(reached.max()) if len(reached) else 0.0)
    youden = hits + np.array([(values[~positive] < cut).mean() for cut in cuts])
    best = cuts[youden >= youden.max() - 1e-9]
    nearest = min(best.tolist(), key=lambda cut: (abs(cut - 0.5), cut))
    return _rounded(nearest)


def _rounded(threshold: float) -> float:
    """Return a threshold that is not above the one given."""
    steps: int = 10**DECIMALS
    return math.floor(threshold * steps) / steps
