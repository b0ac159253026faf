"""Why a slice that a study's class rests on has no heat picture. The revision's other results are made all the same."""

from __future__ import annotations

import enum


class NoPictureCode(enum.StrEnum):
    """The code that the study's revision keeps, by the picture's name; no retry changes what it says."""

    NO_FINDING = "NoFinding"
    NO_GRID = "NoGrid"
    READ_AGAIN = "ReadAgain"
    BURNED_IN = "BurnedIn"
    SLICE_GONE = "SliceGone"
    OTHER_BYTES = "OtherBytes"
    TOO_LARGE = "TooLarge"
    NOT_DECODED = "NotDecoded"
    UNDECODABLE = "Undecodable"
    NOT_DRAWN = "NotDrawn"
