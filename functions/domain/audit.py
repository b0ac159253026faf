"""Reads the ``audit/2`` document strictly: what the audit job found in pixels and tags; and ``audit/1``."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.domain.documents import Fields, load
from functions.domain.slices import Split

SCHEMA, OLDER = "audit/2", "audit/1"
FOLD = re.compile(r"fold \d+")
FIGURES = ("BalancedAccuracy", "Chance", "PValue", "AttainablePValue")


@dataclass(frozen=True, kw_only=True)
class Occurrences:
    """How often something was found, and examples, each a tuple of the manifest's lines."""

    count: int
    examples: Sequence[tuple[int, ...]]


class Subject(enum.StrEnum):
    """What must not predict the class, by its field in the document."""

    ACQUISITION = "Acquisition"
    PERSON = "Person"
    POSITION = "Position"
    BACKGROUND = "Background"


@dataclass(frozen=True, kw_only=True)
class Predictability:
    """How well tags alone predict the class; ``chance`` is the accuracy of guessing.

    ``attainable`` is the p-value if one more tag separated the classes completely; None in ``audit/1``.
    """

    balanced_accuracy: float
    chance: float
    p_value: float
    attainable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Confounding:
    """``unit`` is the unit of the permutation test, ``tags`` are keywords, most predictive first.

    ``found`` is None if there was too little data to measure.
    """

    unit: str
    found: Predictability | None
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All findings about one snapshot's slices. ``audit/1`` knew one subject, and nothing of one patient's two ids."""

    slices: int
    unreadable: Occurrences
    identical: Occurrences
    near_identical: Occurrences
    same_patient: Occurrences
    subjects: Mapping[Subject, Confounding]


def parse(body: bytes, snapshot_digest: str) -> Audit:
    """Read an audit; raise MalformedDocument for anything but an audit of this snapshot."""
    fields = load(body, (SCHEMA, OLDER), snapshot_digest)
    older = fields.text("Schema") == OLDER
    return Audit(
        slices=fields.count("Slices"),
        unreadable=_unreadable(fields.fields("Unreadable")),
        identical=_across(fields.fields("Identical")),
        near_identical=_across(fields.fields("NearIdentical")),
        same_patient=Occurrences(count=0, examples=()) if older else _across(fields.fields("SamePatient")),
        subjects={
            subject: _confounding(fields.fields(subject), older)
            for subject in ([Subject.ACQUISITION] if older else Subject)
        },
    )


def _unreadable(fields: Fields) -> Occurrences:
    return _finding(fields, [(example.count("Line"),) for example in fields.list_of_fields("Examples")])


def _across(fields: Fields) -> Occurrences:
    examples = fields.list_of_fields("Examples")
    for example in examples:
        if not all(_is_part(one) for one in example.texts("Splits")):
            raise example.wrong("Splits", f"not among {', '.join(Split)} and the folds")
        if len(example.counts("Lines")) < 2:  # a gate names them
            raise example.wrong("Lines", "not two lines or more")
    return _finding(fields, [example.counts("Lines") for example in examples])


def _is_part(text: str) -> bool:
    return text in set(Split) or FOLD.fullmatch(text) is not None


def _finding(fields: Fields, examples: list[tuple[int, ...]]) -> Occurrences:
    count = fields.count("Count")
    if bool(count) != bool(examples) or len(examples) > count:
        raise fields.wrong("Count", f"but there are {len(examples)} examples")
    return Occurrences(count=count, examples=examples)


def _confounding(fields: Fields, older: bool) -> Confounding:
    unit = fields.text("Unit")
    if unit not in {"Patient", "Slice"}:
        raise fields.wrong("Unit", "neither Patient nor Slice")
    names = ("BalancedAccuracy", "Chance", "PValue") if older else FIGURES
    figures = [fields.fraction_or_none(name) for name in names]
    defined = [figure for figure in figures if figure is not None]
    if defined and len(defined) < len(figures):
        raise fields.wrong("BalancedAccuracy", "although Chance and PValue are defined with it, or none is")
    found = dict(zip(("balanced_accuracy", "chance", "p_value", "attainable"), defined, strict=False))
    return Confounding(
        unit=unit,
        found=Predictability(**found) if defined else None,
        tags=tuple(tag.text("Keyword") for tag in fields.list_of_fields("Tags")),
    )
