"""Reads the ``audit/1`` document strictly: what the processing job found in pixels and acquisition tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.documents import Fields, load
from functions.domain.slices import Split

SCHEMA = "audit/1"


@dataclass(frozen=True, kw_only=True)
class Occurrences:
    """How often something was found, and examples, each a tuple of the manifest's lines."""

    count: int
    examples: Sequence[tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Predictability:
    """How well acquisition tags alone predict the class; ``chance`` is the accuracy of guessing."""

    balanced_accuracy: float
    chance: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """``unit`` is the unit of the permutation test, ``tags`` are keywords, most predictive first.

    ``found`` is None if there was too little data to measure.
    """

    unit: str
    found: Predictability | None
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All findings about one snapshot's slices."""

    slices: int
    unreadable: Occurrences
    identical: Occurrences
    near_identical: Occurrences
    acquisition: Acquisition


def parse(body: bytes, snapshot_digest: str) -> Audit:
    """Read an audit; raise MalformedDocument for anything but an audit of this snapshot."""
    fields = load(body, (SCHEMA,), snapshot_digest)
    return Audit(
        slices=fields.count("Slices"),
        unreadable=_unreadable(fields.fields("Unreadable")),
        identical=_across(fields.fields("Identical")),
        near_identical=_across(fields.fields("NearIdentical")),
        acquisition=_acquisition(fields.fields("Acquisition")),
    )


def _unreadable(fields: Fields) -> Occurrences:
    return _finding(fields, [(example.count("Line"),) for example in fields.list_of_fields("Examples")])


def _across(fields: Fields) -> Occurrences:
    examples = fields.list_of_fields("Examples")
    for example in examples:
        if not set(example.texts("Splits")) <= set(Split):
            raise example.wrong("Splits", f"not among {', '.join(Split)}")
    return _finding(fields, [example.counts("Lines") for example in examples])


def _finding(fields: Fields, examples: list[tuple[int, ...]]) -> Occurrences:
    count = fields.count("Count")
    if bool(count) != bool(examples) or len(examples) > count:
        raise fields.wrong("Count", f"but there are {len(examples)} examples")
    return Occurrences(count=count, examples=examples)


def _acquisition(fields: Fields) -> Acquisition:
    unit = fields.text("Unit")
    if unit not in {"Patient", "Slice"}:
        raise fields.wrong("Unit", "neither Patient nor Slice")
    figures = [fields.fraction_or_none(name) for name in ("BalancedAccuracy", "Chance", "PValue")]
    defined = [figure for figure in figures if figure is not None]
    if defined and len(defined) < len(figures):
        raise fields.wrong("BalancedAccuracy", "although Chance and PValue are defined with it, or none is")
    return Acquisition(
        unit=unit,
        found=Predictability(balanced_accuracy=defined[0], chance=defined[1], p_value=defined[2]) if defined else None,
        tags=tuple(tag.text("Keyword") for tag in fields.list_of_fields("Tags")),
    )
