"""What a stage says about its results: which ones, who made them, and the codes of its classes."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OWN_SCHEME = "99WETREAD"  # DICOM PS3.16 section 8: a private scheme's name begins with 99
LONGEST_MEANING = 64  # characters of a Code Meaning (LO)
LONGEST_VALUE = 16  # of a Code Value (SH)


class Kind(enum.StrEnum):
    """A kind of result, in the order in which they are written; an archive shows the first series first.

    Of heat pictures a revision may have several: `name_of_picture`.
    """

    SR = "sr"
    CARD = "card"
    KEYS = "keys"
    HEAT = "heat"


REJECTION = "rejection"
"""The kind of the note that withdraws results; no stage asks for it."""
OFFSETS: Mapping[str, int] = {Kind.SR: 0, Kind.CARD: 1, Kind.KEYS: 2, REJECTION: 3, Kind.HEAT: 4}
"""Kind -> its SeriesNumber's distance from the stage's base."""


def name_of_picture(place: int) -> str:
    """Return the name of a heat picture by the place of its slice among those that the class rests on, from 1."""
    return f"{Kind.HEAT}-{place}"


def kind_of(name: str) -> str:
    """Return the kind of a result by its name in the bucket."""
    return name.partition("-")[0]


@dataclass(frozen=True, kw_only=True)
class LabelCode:
    """A code of a class: its value, its scheme, its meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage's results. ``identity`` is a text that no other stage has; ``software`` is wetread's version."""

    identity: str
    manufacturer: str
    software: str
    series_number_base: int
    codes: Mapping[str, LabelCode]

    def code_of(self, label: str) -> LabelCode:
        """Return the code of a class: the stage's, else a private one that is the label itself."""
        return self.codes.get(label) or LabelCode(value=label, scheme=OWN_SCHEME, meaning=label[:LONGEST_MEANING])

    def series_number(self, kind: str) -> int:
        """Return the SeriesNumber of one kind of result."""
        return self.series_number_base + OFFSETS[kind]


def codes_of(settings: Sequence[str]) -> dict[str, LabelCode]:
    """Return the codes in ``LABEL=VALUE SCHEME MEANING`` texts, as a function's settings have them."""
    found = {}
    for text in settings:
        label, _, code = text.partition("=")
        value, scheme, meaning = code.split(maxsplit=2)
        found[label] = LabelCode(value=value, scheme=scheme, meaning=meaning)
    return found
