"""Reads the ``evaluation/1`` document strictly: the figures of candidate and champion on the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.domain.documents import Fields, load

SCHEMA = "evaluation/1"
METRIC = "BalancedAccuracy"  # of the paired comparison


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """One class against the rest; an undefined figure is None."""

    sensitivity: float | None
    specificity: float | None
    auc: float | None


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """The cases that share the value of an attribute."""

    attribute: str
    value: str
    patients: int
    balanced_accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model on the test part; an undefined figure is None."""

    weights_sha256: str
    balanced_accuracy: float | None
    calibration_error: float | None
    classes: Mapping[str, ClassFigures]
    subgroups: tuple[Subgroup, ...]


@dataclass(frozen=True, kw_only=True)
class Against:
    """The candidate and another model on ``patients`` patients; ``seen`` others are left out: it was trained on them.

    The candidate's balanced accuracy is not lower by more than -``bound``, at the level of the attempt (None: the
    patients do not suffice).
    """

    bound: float | None
    patients: int
    seen: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """``difference_low`` is the paired interval's lower end, candidate minus champion (None: undefined)."""

    labels: tuple[str, ...]
    candidate: Measured
    champion: Measured | None
    difference_low: float | None
    attempt: int = 1
    against: Mapping[str, Against] = field(default_factory=dict)


def parse(body: bytes, snapshot_digest: str) -> Evaluation:
    """Read an evaluation; raise MalformedDocument for anything but an evaluation on this snapshot."""
    fields = load(body, SCHEMA, snapshot_digest)
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
        difference_low=paired.fraction_or_none("Low", low=-1.0) if paired else None,
        **_of_attempt(fields),
    )


def _of_attempt(fields: Fields) -> dict[str, Any]:
    """Return which attempt it is, and the comparisons at its level; earlier releases wrote neither."""
    found = fields.optional_fields("Attempt")
    if found is None:
        return {}
    against = {role: found.fields_or_none(role) for role in ("Champion", "Reference")}
    return {
        "attempt": found.count("Number"),
        "against": {
            role: Against(
                bound=one.fraction_or_none("Bound", low=-1.0), patients=one.count("Patients"), seen=one.count("Seen")
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


def _figure(fields: Fields, name: str) -> float | None:
    return fields.fields(name).fraction_or_none("Value")
