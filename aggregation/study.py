"""Reads a study from its slices, by a rule: a score of each class, a class, and the slices that it rests on.

Slices whose model abstained do not count. A series abstains if more than half of its slices did, and is left out; a
study abstains if each of its series did.
"""

from __future__ import annotations

import enum
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aggregation.rule import DECIMALS, Rule
from aggregation.slices import Slice, highest

FEWEST_SLICES = 10  # that count, in the longest series: fewer are no series


class Caution(enum.StrEnum):
    """What a person should know of a study's answer."""

    FEW_SLICES = "FewSlices"
    AGGREGATOR_NOT_FITTED = "AggregatorNotFitted"
    OUT_OF_DISTRIBUTION = "OutOfDistribution"
    NO_POSITIONS = "NoPositions"
    NO_REFERENCE = "NoReferenceClass"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A slice that a score rests on, and its probability of that class."""

    upload_id: str
    series: str
    position: float | None
    probability: float


@dataclass(frozen=True, kw_only=True)
class SeriesRead:
    """One series: ``counted`` slices that count, ``abstentions`` that do not; no scores and evidence if it abstained.

    ``evidence`` are the slices with the highest probabilities of each class but the reference, the highest first.
    """

    series: str
    counted: int
    abstentions: int
    abstained: bool
    scores: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyRead:
    """A study's answer. ``predicted_class`` is None if it abstained, or if without a reference no class is clear.

    ``evidence`` of a class is of the series with the highest score of it. ``series`` are in the order of their UIDs.
    """

    predicted_class: str | None
    scores: Mapping[str, float]
    abstained: bool
    counted: int
    abstentions: int
    series: tuple[SeriesRead, ...]
    evidence: Mapping[str, tuple[Evidence, ...]]
    cautions: tuple[Caution, ...]


def read_study(slices: Iterable[Slice], rule: Rule) -> StudyRead:
    """Return the answer of the slices that count, in whatever order; raise ValueError for two of one upload."""
    by_series: dict[str, list[Slice]] = defaultdict(list)
    uploads: set[str] = set()
    for one in slices:
        if one.upload_id in uploads:
            raise ValueError(f"The upload {one.upload_id} is there twice; an upload counts once.")
        uploads.add(one.upload_id)
        by_series[one.series].append(one)
    # Of every slice, also of one that abstained: what a study is scored for does not change with abstentions.
    classes = sorted({label for of_series in by_series.values() for one in of_series for label in one.probabilities})
    reference = rule.reference_of(classes)
    series = [_read_series(by_series[uid], rule, classes, reference) for uid in sorted(by_series)]
    answered = [one for one in series if one.scores]
    scores = {label: max(one.scores[label] for one in answered) for label in classes} if answered else {}
    if reference is not None and answered:
        scores[reference] = _of_reference(scores, reference, rule)
    best = {label: max(answered, key=lambda one: one.scores[label]) for label in scores if label != reference}
    return StudyRead(
        predicted_class=_class_of(scores, rule, reference),
        scores=scores,
        abstained=bool(series) and not answered,
        counted=sum(one.counted for one in series),
        abstentions=sum(one.abstentions for one in series),
        series=tuple(series),
        evidence={label: one.evidence[label] for label, one in best.items()},
        cautions=_cautions(by_series, series, rule, reference),
    )


def _read_series(slices: Sequence[Slice], rule: Rule, classes: Sequence[str], reference: str | None) -> SeriesRead:
    counted = [one for one in slices if not one.abstained]
    read = SeriesRead(
        series=slices[0].series,
        counted=len(counted),
        abstentions=len(slices) - len(counted),
        abstained=2 * len(counted) < len(slices),
    )
    if read.abstained:
        return read
    scores = {label: rule.score(counted, label) for label in classes if label != reference}
    evidence = {
        label: tuple(
            Evidence(
                upload_id=one.upload_id,
                series=one.series,
                position=one.position,
                probability=one.probability(label),
            )
            for one in highest(counted, label, rule.k)
        )
        for label in scores
    }
    if reference is not None:
        scores[reference] = _of_reference(scores, reference, rule)
    return SeriesRead(
        series=read.series,
        counted=read.counted,
        abstentions=read.abstentions,
        abstained=False,
        scores=dict(sorted(scores.items())),
        evidence=evidence,
    )


def _of_reference(scores: Mapping[str, float], reference: str, rule: Rule) -> float:
    """Return the reference's score: 1 less the highest of the others.

    By a fitted rule, whose scores are how probable each of the others is, it is the product of their complements: that
    none is there.
    """
    others = [score for label, score in sorted(scores.items()) if label != reference]
    if rule.fitted:
        return round(math.prod(1 - score for score in others), DECIMALS)
    return round(1 - max(others, default=0.0), DECIMALS)


def _class_of(scores: Mapping[str, float], rule: Rule, reference: str | None) -> str | None:
    """Return the class with the highest score of those that reach their threshold, else the reference."""
    if not scores:
        return None
    reached = [label for label in sorted(scores) if label != reference and scores[label] >= rule.threshold(label)]
    return max(reached, key=lambda label: scores[label], default=reference)


def _cautions(
    by_series: Mapping[str, Sequence[Slice]], series: Sequence[SeriesRead], rule: Rule, reference: str | None
) -> tuple[Caution, ...]:
    answered = [one.series for one in series if one.scores]
    longest = max((one.counted for one in series), default=0)
    unplaced = any(one.position is None for uid in answered for one in by_series[uid] if not one.abstained)
    found = {
        Caution.FEW_SLICES: longest < FEWEST_SLICES,
        Caution.AGGREGATOR_NOT_FITTED: not rule.fitted,
        Caution.OUT_OF_DISTRIBUTION: any(one.abstained for one in series),
        Caution.NO_POSITIONS: rule.fitted and unplaced,
        Caution.NO_REFERENCE: bool(answered) and reference is None,
    }
    return tuple(caution for caution, holds in found.items() if holds)
