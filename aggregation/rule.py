"""The rule by which the slices of a series become a score of each class: the block ``study`` of metadata.json.

A rule comes with a model that anybody may have made. So it is read strictly and within bounds.
"""

from __future__ import annotations

import enum
import json
import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aggregation.slices import NAMES, Slice, numbers_of

VERSION = 1
MOST_BYTES = 64 * 1024  # of a rule's JSON; a row of DynamoDB has it beside other values
MOST_CLASSES = 64
LONGEST_CLASS = 64  # characters
MOST_K = 100
LARGEST = 1e6  # of a coefficient: far beyond what a fit gives
K = 3
THRESHOLD = 0.5
REFERENCE = "normal"  # the reference class of rules that name none
DECIMALS = 6  # of a score and of a threshold; so an other processor's last digit changes nothing
INTERCEPT = "intercept"
FIELDS = ("version", "rule", "reference", "k", "thresholds", "coefficients")


class MalformedRule(ValueError):
    """Not a rule: which value is wrong, and what it should be."""


class RuleName(enum.StrEnum):
    """How the numbers of a series become a score."""

    TOP_MEAN = "top_mean"
    FITTED = "fitted"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The mean of the k highest probabilities, or a logistic regression on a series' numbers.

    ``reference`` is the class that means "none of the others", None for REFERENCE. A class without a threshold has
    THRESHOLD. ``coefficients`` are those of a fitted rule, by class and by name: the intercept and NAMES.
    """

    reference: str | None = None
    k: int = K
    thresholds: Mapping[str, float] = field(default_factory=dict)
    coefficients: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def fitted(self) -> bool:
        """Whether it was fitted on studies, its thresholds with it."""
        return bool(self.coefficients)

    @property
    def name(self) -> RuleName:
        """What the document's Aggregation calls it."""
        return RuleName.FITTED if self.fitted else RuleName.TOP_MEAN

    def reference_of(self, classes: Collection[str]) -> str | None:
        """Return which of these classes is the reference; None if none is."""
        return next((one for one in (self.reference, REFERENCE) if one in classes), None)

    def threshold(self, label: str) -> float:
        """Return the score from which on a study has this class."""
        return self.thresholds.get(label, THRESHOLD)

    def score(self, slices: Sequence[Slice], label: str) -> float:
        """Return the score, from 0 to 1, that at least one slice of one series gives a class."""
        numbers = numbers_of(slices, label, self.k)
        coefficients = self.coefficients.get(label)
        if coefficients is None:
            return round(numbers.top_mean, DECIMALS)
        terms = (coefficients[name] * getattr(numbers, name) for name in NAMES)
        return round(_logistic(math.fsum((coefficients[INTERCEPT], *terms))), DECIMALS)

    def described(self, classes: Collection[str]) -> dict[str, Any]:
        """Return what a study's document says of the rule, for the classes of its scores."""
        reference = self.reference_of(classes)
        return {
            "Rule": str(self.name),
            "K": self.k,
            "Thresholds": {label: self.threshold(label) for label in classes if label != reference},
            "Reference": reference,
            "Fitted": self.fitted,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the block that ``parse`` reads."""
        return {
            "version": VERSION,
            "rule": str(self.name),
            "reference": self.reference,
            "k": self.k,
            "thresholds": dict(self.thresholds),
            "coefficients": {label: dict(values) for label, values in self.coefficients.items()},
        }

    def dumps(self) -> str:
        """Return the block as canonical JSON, which ``loads`` reads."""
        return json.dumps(self.as_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    def check_classes(self, classes: Collection[str]) -> None:
        """Raise MalformedRule for a class that the model does not have, or that a fitted rule does not score."""
        named = {*self.thresholds, *self.coefficients, *([self.reference] if self.reference else [])}
        if unknown := sorted(named - set(classes)):
            raise MalformedRule(f"study names the class {_shown(unknown[0])}, which the model does not have")
        scored = set(classes) - {self.reference}
        if self.fitted and set(self.coefficients) != scored:
            odd = sorted(scored ^ set(self.coefficients))
            raise MalformedRule(f"study.coefficients must be of each class but the reference; see {_shown(odd[0])}")


SIMPLE = Rule()


def loads(text: str) -> Rule:
    """Return the rule that ``Rule.dumps`` wrote, SIMPLE for ""; raise MalformedRule."""
    if not text:
        return SIMPLE
    if len(text) > MOST_BYTES:
        raise MalformedRule(f"study has more than {MOST_BYTES:,} characters")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedRule("study is not JSON") from error
    return parse(document)


def parse(document: Any) -> Rule:
    """Return the rule of a block ``study``; raise MalformedRule for anything that ``as_dict`` does not write."""
    fields = _object(document, "study", FIELDS)
    if fields.get("version") != VERSION or isinstance(fields["version"], bool):
        raise _wrong("version", fields.get("version"), f"not {VERSION}")
    k, reference = fields.get("k", K), fields.get("reference")
    if type(k) is not int or not 1 <= k <= MOST_K:
        raise _wrong("k", k, f"not a whole number from 1 to {MOST_K}")
    if reference is not None and not _is_class(reference):
        raise _wrong("reference", reference, f"not a class of 1 to {LONGEST_CLASS} characters")
    thresholds = {
        label: _number(value, f"thresholds.{label}", 0, 1) for label, value in _by_class(fields, "thresholds")
    }
    coefficients = {label: _coefficients(values, label) for label, values in _by_class(fields, "coefficients")}
    rule = Rule(reference=reference, k=k, thresholds=thresholds, coefficients=coefficients)
    if fields.get("rule") != rule.name:
        raise _wrong("rule", fields.get("rule"), f"not {rule.name}, as its coefficients say")
    if rule.fitted and reference is None:
        raise _wrong("reference", reference, "although a fitted rule must name the reference class")
    return rule


def _coefficients(values: Any, label: str) -> dict[str, float]:
    expected = (INTERCEPT, *NAMES)
    found = _object(values, f"study.coefficients.{label}", expected)
    if missing := [name for name in expected if name not in found]:
        raise MalformedRule(f"study.coefficients.{label} has no {missing[0]}")
    return {name: _number(found[name], f"coefficients.{label}.{name}", -LARGEST, LARGEST) for name in expected}


def _by_class(fields: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    values = fields.get(name, {})
    if not isinstance(values, Mapping) or len(values) > MOST_CLASSES or not all(map(_is_class, values)):
        raise _wrong(
            name, values, f"not an object of at most {MOST_CLASSES} classes of 1 to {LONGEST_CLASS} characters"
        )
    return list(values.items())


def _object(value: Any, where: str, names: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedRule(f"{where} is {_shown(value)}, not an object")
    if unknown := [name for name in value if name not in names]:
        raise MalformedRule(f"{where} has the field {_shown(unknown[0])}, which is not one of {', '.join(names)}")
    return value


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, value, f"not a number from {low:g} to {high:g}")
    return float(value)


def _is_class(name: Any) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_CLASS
        and not any("\ud800" <= character <= "\udfff" for character in name)
    )


def _wrong(name: str, value: Any, what: str) -> MalformedRule:
    return MalformedRule(f"study.{name} is {_shown(value)}, {what}")


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value):.80}"


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
