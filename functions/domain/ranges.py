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
    """The allowed words of a setting."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def admits(self, value: object) -> bool:
        """Return whether ``value`` is one of the words."""
        return value in self.choices

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"


FRACTION = Range(0.0, 1.0)
