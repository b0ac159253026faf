"""Reads ``evaluation/2`` and ``evaluation/1`` strictly: the figures of candidate and champion on the same cases.

Of evaluation/1, which an earlier image writes, the intervals are narrower than they say, and nothing is too few to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.domain.documents import Fields, load

SCHEMA, EARLIER = "evaluation/2", "evaluation/1"
METRIC = "BalancedAccuracy"  # of the paired comparison


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value with its 95 % interval; None if undefined, or if there are ``too_few`` patients to say."""

    value: float | None
    low: float | None
    high: float | None
    too_few: bool = False


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """One class against the rest."""

    sensitivity: Figure
    specificity: Figure
    auc: Figure


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """The cases that share the value of an attribute."""

    attribute: str
    value: str
    patients: int
    balanced_accuracy: Figure


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the probabilities are from frequencies: ``error`` with the lower end of its interval (None: undefined).

    ``odds_too_sure``: how many times better softer probabilities predict the labels than the model's own.
    """

    error: float | None
    error_low: float | None
    odds_too_sure: float
    error_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudyFigures:
    """How a model reads whole studies of the test part, by the rule that serves.

    ``reference`` is the class that means "none of the others", None without one. ``abstained`` of the studies have no
    class.
    """

    studies: int
    patients: int
    abstained: int
    reference: str | None
    fitted: bool
    balanced_accuracy: Figure
    classes: Mapping[str, ClassFigures]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model on the test part; an undefined figure is None.

    ``calibration`` is None in the evaluations of older containers, which have the ``calibration_error`` (ECE) alone.
    ``study`` is None there, too, and where the test part has no study that is a series.
    """

    weights_sha256: str
    balanced_accuracy: Figure
    calibration_error: float | None
    classes: Mapping[str, ClassFigures]
    subgroups: tuple[Subgroup, ...]
    coverage: float = 1.0  # the share of cases that the model does not abstain on; older images abstain on none
    calibration: Calibration | None = None
    study: StudyFigures | None = None


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The candidate's balanced accuracy less the champion's, on the same patients.

    ``standard_error`` and ``degrees_of_freedom`` give its interval at any level; evaluation/1 has neither.
    """

    difference: Figure
    standard_error: float | None
    degrees_of_freedom: float | None


@dataclass(frozen=True, kw_only=True)
class Against:
    """The candidate and another model on ``patients`` patients; ``seen`` others are left out: it was trained on them.

    The candidate's balanced accuracy is not lower by more than -``bound``, at the level of the attempt (None: the
    patients do not suffice).
    """

    bound: float | None
    patients: int
    seen: int
    difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """That the candidate's figures are of the models of so many folds, and not its own.

    ``whole`` is its own balanced accuracy, on the slices that it was trained on.
    """

    folds: int
    whole: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a run's evaluation says; ``champion`` and ``paired`` are None for a stage's first model.

    ``out_of_fold`` is None where there is a test part.
    """

    labels: tuple[str, ...]
    candidate: Measured
    champion: Measured | None
    paired: Paired | None
    attempt: int = 1
    against: Mapping[str, Against] = field(default_factory=dict)
    out_of_fold: OutOfFold | None = None


def parse(body: bytes, snapshot_digest: str) -> Evaluation:
    """Read an evaluation; raise MalformedDocument for anything but an evaluation on this snapshot."""
    fields = load(body, (SCHEMA, EARLIER), snapshot_digest)
    labels = fields.texts("Labels")
    champion, paired = fields.fields_or_none("Champion"), fields.fields_or_none("Paired")
    if (champion is None) != (paired is None):
        raise fields.wrong("Paired", "although a paired comparison and a champion come together")
    if paired and paired.text("Metric") != METRIC:
        raise paired.wrong("Metric", f"not {METRIC}")
    return Evaluation(
        labels=labels,
        candidate=_measured(fields.fields("Candidate"), labels),
        champion=_measured(champion, labels) if champion else None,
        paired=_paired(paired) if paired else None,
        **_of_attempt(fields),
        out_of_fold=_out_of_fold(fields.fields("OutOfFold")) if fields.has("OutOfFold") else None,
    )


def _out_of_fold(fields: Fields) -> OutOfFold:
    whole = fields.fields("Whole").fraction_or_none("BalancedAccuracy")
    return OutOfFold(folds=len(fields.list_of_fields("Folds")), whole=whole)


def _paired(fields: Fields) -> Paired:
    return Paired(
        difference=_interval(fields, "Difference", low=-1.0),
        standard_error=fields.fraction_or_none("StandardError") if fields.has("StandardError") else None,
        degrees_of_freedom=fields.number_or_none("DegreesOfFreedom") if fields.has("DegreesOfFreedom") else None,
    )


def _of_attempt(fields: Fields) -> dict[str, Any]:
    """Return which attempt it is, and the comparisons at its level; earlier releases wrote neither."""
    if not fields.has("Attempt"):
        return {}
    found = fields.fields("Attempt")
    if found.fields_or_none("Champion") is None and fields.fields_or_none("Champion") is not None:
        raise found.wrong("Champion", "although there is a champion")
    against = {role: found.fields_or_none(role) for role in ("Champion", "Reference")}
    return {
        "attempt": found.count("Number"),
        "against": {
            role: Against(
                bound=one.fraction_or_none("Bound", low=-1.0),
                patients=one.count("Patients"),
                seen=one.count("Seen"),
                difference=one.fraction_or_none("Difference", low=-1.0) if one.has("Difference") else None,
            )
            for role, one in against.items()
            if one
        },
    }


def _measured(fields: Fields, labels: tuple[str, ...]) -> Measured:
    classes = fields.fields("Classes")
    return Measured(
        weights_sha256=fields.fields("Model").text("WeightsSHA256"),
        balanced_accuracy=_figure(fields, "BalancedAccuracy"),
        calibration_error=fields.fields("Calibration").fraction_or_none("ECE"),
        classes={label: _class_figures(classes.fields(label)) for label in labels},
        subgroups=tuple(_subgroup(one) for one in fields.list_of_fields("Subgroups")),
        coverage=fields.fields("Abstention").fraction("Coverage") if fields.has("Abstention") else 1.0,
        calibration=calibration_of(fields.fields("Calibration")),
        study=_study(found, labels) if fields.has("Study") and (found := fields.fields_or_none("Study")) else None,
    )


def _study(fields: Fields, labels: tuple[str, ...]) -> StudyFigures:
    aggregation, classes = fields.fields("Aggregation"), fields.fields("Classes")
    reference = aggregation.text_or_none("Reference")
    if reference is not None and reference not in labels:
        raise aggregation.wrong("Reference", "not one of the Labels")
    return StudyFigures(
        studies=fields.count("Studies"),
        patients=fields.count("Patients"),
        abstained=fields.count("Abstained"),
        reference=reference,
        fitted=aggregation.flag("Fitted"),
        balanced_accuracy=_figure(fields, "BalancedAccuracy"),
        classes={label: _class_figures(classes.fields(label)) for label in labels},
    )


def calibration_of(fields: Fields) -> Calibration | None:
    """Return the calibration of an evaluation's Calibration object; None if it is of an older container."""
    if not fields.has("Error"):
        return None
    error = fields.fields("Error")
    found = Figure(
        value=error.fraction_or_none("Value"),
        low=error.fraction_or_none("Low"),
        high=error.fraction_or_none("High") if error.has("High") else None,
    )
    _check_order(error, "Value", found)
    return Calibration(
        error=found.value,
        error_low=found.low,
        error_high=found.high,
        odds_too_sure=fields.number("OddsTooSure"),
    )


def _class_figures(fields: Fields) -> ClassFigures:
    return ClassFigures(
        sensitivity=_figure(fields, "Sensitivity"),
        specificity=_figure(fields, "Specificity"),
        auc=_figure(fields, "AUC"),
    )


def _subgroup(fields: Fields) -> Subgroup:
    return Subgroup(
        attribute=fields.text("Attribute"),
        value=fields.text("Value"),
        patients=fields.count("Patients"),
        balanced_accuracy=_figure(fields, "BalancedAccuracy"),
    )


def _figure(fields: Fields, name: str) -> Figure:
    return _interval(fields.fields(name), "Value")


def _interval(fields: Fields, value: str, low: float = 0.0) -> Figure:
    found = Figure(
        value=fields.fraction_or_none(value, low),
        low=fields.fraction_or_none("Low", low),
        high=fields.fraction_or_none("High", low),
        too_few=fields.has("TooFew") and fields.flag("TooFew"),
    )
    _check_order(fields, value, found)
    return found


def _check_order(fields: Fields, name: str, figure: Figure) -> None:
    """Raise MalformedDocument for an interval without its value, or one that does not hold it."""
    value, low, high = figure.value, figure.low, figure.high
    if value is None and (low is not None or high is not None):
        raise fields.wrong(name, "although its interval is defined")
    if figure.too_few and value is not None:
        raise fields.wrong(name, "although too few patients are behind it")
    if value is not None and not (value if low is None else low) <= value <= (value if high is None else high):
        raise fields.wrong(name, "not in its interval")
