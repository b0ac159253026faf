"""The allowed values of a setting, beside its default: ``Annotated[int, Range(1, 100)] = 4``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The lowest and the highest number, both included."""

    low: float
    high: float

    def admits(self, value: object) -> bool:
        """Return whether ``value`` is a number in this range; False for NaN."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


class OneOf:
    """The allowed words of a setting, each of them once in a list of words that is a setting."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def admits(self, value: object) -> bool:
        """Return whether ``value`` is one of the words, or a list of one or more of them."""
        words = value if isinstance(value, tuple) else (value,)
        return bool(words) and len(set(words)) == len(words) and all(one in self.choices for one in words)

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"


class SomeOf(OneOf):
    """The allowed words of a setting that is a list, each of them once or not at all."""

    def admits(self, value: object) -> bool:
        """Return whether ``value`` is a list of some of the words, or empty."""
        return value == () or super().admits(value)

    def __str__(self) -> str:
        return f"a list of {', '.join(self.choices)}, or []"


FRACTION = Range(0.0, 1.0)
