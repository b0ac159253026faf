"""Says what kind of picture the values of ImageType name: a slice, a localizer, a reformat, a map and so on.

DICOM defines two of its values (PS3.3 section C.7.6.1.1.2); the others are words of scanners, viewers and archives.
"""

from __future__ import annotations

import re
from functools import lru_cache

ORIGINAL, DERIVED = "original", "derived"
LOCALIZER, REFORMAT, PROJECTION, MAP, SCREEN_SAVE = "localizer", "reformat", "projection", "map", "screen_save"
IMAGE_TYPES = (ORIGINAL, DERIVED, LOCALIZER, REFORMAT, PROJECTION)  # a map or a screen save is never served
# Words of ImageType's values, which scanners combine by blanks and underscores, and the type that they name. DICOM
# PS3.3 sections C.8.2.1.1.1 and C.8.15.3.2 define some; the others are conformance statements' of scanners and viewers.
WORDS = {
    LOCALIZER: "LOCALIZER LOCALISER SCOUT SCOUTVIEW TOPOGRAM TOPO TOP SURVIEW SCANOGRAM SCANOSCOPE SCANO PILOT",
    REFORMAT: "REFORMATTED REFORMAT MPR MPVR CPR CURVED RESLICE RESLICED STRAIGHTENED",
    PROJECTION: (
        "MIP MINIP MAXIP RAYSUM PROJECTION 3D VR VRT SSD VOLREN RENDERED RENDERING SURFACE TOMO TOMOSYNTHESIS MAXIMUM "
        "MINIMUM ENDOSCOPY FLYTHROUGH"
    ),
    MAP: (
        "MAP IODINE ZEFF RHO PERFUSION PERF CBF CBV MTT TTP TMAX PBV FUSED FUSION SUBTRACTION SUBTRACTED URIC "
        "QUANTITY PARAMETRIC"
    ),
    SCREEN_SAVE: "SCREENSAVE SCREENSHOT SCREENCAP CAPTURE SCREEN REPORT PROT PROTOCOL SUMMARY",
}
SIEMENS = tuple(f"CT SOM{number}" for number in range(4, 10))  # before a word that says what the picture is
# Several words that only together name a type.
PHRASES = {
    MAP: (
        *("Z EFF", "EFF Z", "Z EFFECTIVE", "EFFECTIVE Z", "EFF ATOMIC NUM", "ATOMIC NUMBER", "ELECTRON DENSITY"),
        *("MAT SPECIFIC", "MAT FRACTIONAL", "MATERIAL DENSITY", "BLOOD VOLUME", "BLOOD FLOW", "WATER DENSITY"),
    ),
    PROJECTION: ("VOLUME RENDERING", "MIN IP", "MAX IP"),
    REFORMAT: (),
    LOCALIZER: tuple(f"{one} TOP" for one in SIEMENS),
    SCREEN_SAVE: ("DOSE INFO", "DOSE SHEET", *(f"{one} PROT" for one in SIEMENS)),
}
# Source slices of an examination may have these words too, so they count only where the first value is not ORIGINAL.
_AMBIGUOUS = """
3D VR SURFACE TOMO TOMOSYNTHESIS MAXIMUM MINIMUM PERFUSION PERF QUANTITY TOP PILOT PROT PROTOCOL SUMMARY RHO
"""
AMBIGUOUS = frozenset(_AMBIGUOUS.split())
DIGITS = "0123456789"  # behind a word, such as MPR2
# A slice that iodine was taken away from is in Hounsfield units.
IODINE, TAKEN_AWAY = "IODINE", frozenset({"REMOVED", "REMOVAL", "SUPPRESSED", "SUPPRESSION"})
TYPE_OF_WORD = {word: kind for kind, words in WORDS.items() for word in words.split()}


@lru_cache(maxsize=64)  # a series has one, and each object is asked several times
def image_type(values: tuple[str, ...]) -> str:
    """Return which of IMAGE_TYPES, MAP and SCREEN_SAVE ``values`` of ImageType name; none count as ORIGINAL."""
    texts = [" ".join(re.split(r"[^A-Z0-9]+", value)).strip() for value in values]
    original = values[:1] in {(), ("ORIGINAL",)}
    words = {word.rstrip(DIGITS) or word for text in texts for word in text.split()}
    words -= AMBIGUOUS if original else frozenset()
    words -= {IODINE} if words & TAKEN_AWAY else frozenset()
    found = {TYPE_OF_WORD[word] for word in words & TYPE_OF_WORD.keys()}
    found |= {kind for kind, phrases in PHRASES.items() for one in phrases if any(_has(text, one) for text in texts)}
    for kind in (SCREEN_SAVE, LOCALIZER, MAP, PROJECTION, REFORMAT):
        if kind in found:
            return kind
    return ORIGINAL if original else DERIVED


def _has(text: str, phrase: str) -> bool:
    """Return whether the words of ``phrase`` follow each other in ``text``."""
    return f" {phrase} " in f" {text} "
