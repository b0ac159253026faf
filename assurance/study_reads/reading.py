"""Reads phantom studies by several rules, and measures how well each parts ill studies from healthy ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aggregation.rule import Rule
from aggregation.study import read_study
from assurance.study_reads.phantoms import NORMAL, Phantom
from model_code.evaluation.bootstrap import Resamples
from model_code.evaluation.statistics import areas_under_curve
from model_code.training.study_rule import fit_rule
from wetread.demo.phantoms import LABELS

FEW = 0.3
"""Lesions on less than this share of the slices are few."""
Score = Callable[[Phantom], float]


@dataclass(frozen=True)
class Read:
    """One rule on phantom studies: AUC of ill against normal, of all, of those with few lesions and with many.

    ``balanced`` is the balanced accuracy over the classes, None for a rule that is not offered. ``abstained``: on how
    many studies.
    """

    auc: float
    few: float
    many: float
    balanced: float | None
    abstained: int


def read(fitted_on: Sequence[Phantom], tested: Sequence[Phantom]) -> dict[str, Read]:
    """Return the measurements by the rule's name; the fitted rule is that which the training would write."""
    found = fit_rule([one.study for one in fitted_on], LABELS)
    if not found.rule.fitted:
        raise SystemExit(found.reason)
    rules = {"top_mean": Rule(reference=NORMAL), "fitted": found.rule}
    others: Mapping[str, Score] = {"max": _of_slices(max), "mean": _of_slices(np.mean)}
    measured = {name: _measured([score(one) for one in tested], tested) for name, score in others.items()}
    return measured | {name: _by_rule(rule, tested) for name, rule in rules.items()}


def slice_figures(phantoms: Sequence[Phantom]) -> tuple[float, float]:
    """Return the slice model's sensitivity for slices with lesions, and its specificity for those without."""
    ill = np.concatenate([one.lesions for one in phantoms])
    called = np.concatenate(
        [
            [max(s.probabilities, key=s.probabilities.__getitem__) != NORMAL for s in one.study.slices]
            for one in phantoms
        ]
    )
    return float(called[ill].mean()), float(1 - called[~ill].mean())


def _of_slices(of: Callable[[list[float]], object]) -> Score:
    """Return a score that no rule of ours gives: of each class over all slices, and of these the highest."""

    def score(one: Phantom) -> float:
        values = ([float(s.probabilities[label]) for s in one.study.slices] for label in LABELS if label != NORMAL)
        return max(float(of(of_class)) for of_class in values)  # type: ignore[arg-type]

    return score


def _by_rule(rule: Rule, tested: Sequence[Phantom]) -> Read:
    reads = [read_study(one.study.slices, rule) for one in tested]
    right = {label: [] for label in LABELS}  # type: dict[str, list[bool]]
    for one, answer in zip(tested, reads, strict=True):
        right[str(one.study.label)].append(answer.predicted_class == one.study.label)
    answered = [(1 - answer.scores[NORMAL], one) for one, answer in zip(tested, reads, strict=True) if answer.scores]
    balanced = float(np.mean([np.mean(ones) for ones in right.values()]))
    return _measured([score for score, _ in answered], [one for _, one in answered], balanced, len(tested))


def _measured(scores: Sequence[float], phantoms: Sequence[Phantom], balanced: float | None = None, of: int = 0) -> Read:
    shares = np.array([one.share for one in phantoms])
    values, ill = np.array(scores), shares > 0

    def auc(among: np.ndarray) -> float:
        rows = among | ~ill
        whole = Resamples(np.ones((1, int(rows.sum()))), np.arange(rows.sum()))
        return float(areas_under_curve(values[rows], ill[rows], whole)[0])

    return Read(
        auc=auc(ill),
        few=auc(ill & (shares < FEW)),
        many=auc(ill & (shares >= FEW)),
        balanced=balanced,
        abstained=max(0, of - len(phantoms)),
    )
