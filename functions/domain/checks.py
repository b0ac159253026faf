"""What a gate asked, one threshold after the other, with what was measured: the lines of a verdict that people read."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from functions.domain.evaluation import Figure
from functions.domain.verdict import Reason


class Asks(enum.StrEnum):
    """How a figure is compared with its bound."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BELOW = "below"


class End(enum.StrEnum):
    """Which of a figure's numbers is compared: the value itself, or the lower end of its interval."""

    VALUE = "Value"
    LOW = "Low"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One threshold: ``what`` was measured, as ``figure``, and the ``bound`` that ``end`` of it is compared with.

    ``reason`` is why it does not hold, None if it does.
    """

    what: str
    figure: Figure
    asks: Asks
    bound: float
    end: End = End.VALUE
    reason: Reason | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the check as a verdict's document holds it; Code is the failed one's, "" otherwise."""
        return {
            "What": self.what,
            "Value": self.figure.value,
            "Low": self.figure.low,
            "High": self.figure.high,
            "TooFew": self.figure.too_few,
            "Asks": self.asks,
            "Bound": round(self.bound, 4),
            "Compared": self.end,
            "Passed": self.reason is None,
            "Code": str(self.reason.code) if self.reason else "",
        }


def reasons_of(checks: Iterable[Check]) -> list[Reason]:
    """Return why checks do not hold, in their order."""
    return [one.reason for one in checks if one.reason]
