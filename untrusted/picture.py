"""Decide by the header whether a CT object is a picture that a model reads: an axial slice, not a localizer or a map.

One rule for ingest, training, container and command line. What is refused has a code and a sentence; what is assumed is
a note. No text of the object is repeated but defined terms and numbers.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass

from untrusted.header import Header, whole_number

LEAST_SIDE = 64  # pixels: a smaller picture shows no anatomy
# A gantry is tilted by 30 degrees at most; at 45 a plane is as near to another one.
MOST_TILT_DEGREES = 35.0
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
PLANES = ("sagittal", "coronal", "axial")  # by the patient's axis that is nearest to the normal: x, y, z
OBLIQUE = "oblique"
ORIGINAL, DERIVED = "original", "derived"
LOCALIZER, REFORMAT, PROJECTION, MAP, SCREEN_SAVE = "localizer", "reformat", "projection", "map", "screen_save"
IMAGE_TYPES = (ORIGINAL, DERIVED, LOCALIZER, REFORMAT, PROJECTION)  # a map or a screen save is never served
ALL_PLANES = (*PLANES, OBLIQUE)
# Words of ImageType's values, which scanners combine by blanks and underscores, and the type that they name. DICOM
# PS3.3 sections C.8.2.1.1.1 and C.8.15.3.2 define some; the others are conformance statements' of scanners and viewers.
WORDS = {
    LOCALIZER: "LOCALIZER LOCALISER SCOUT TOPOGRAM TOPO TOP SURVIEW SCANOGRAM SCANO PILOT",
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
# Several words that only together name a type.
PHRASES = {
    MAP: (
        *("Z EFF", "EFF Z", "Z EFFECTIVE", "EFFECTIVE Z", "EFF ATOMIC NUM", "ATOMIC NUMBER", "ELECTRON DENSITY"),
        *("MAT SPECIFIC", "MAT FRACTIONAL", "MATERIAL DENSITY", "BLOOD VOLUME", "BLOOD FLOW", "WATER DENSITY"),
    ),
    PROJECTION: ("VOLUME RENDERING", "MIN IP", "MAX IP"),
    REFORMAT: (),
    LOCALIZER: (),
    SCREEN_SAVE: ("DOSE INFO", "DOSE SHEET"),
}
# Source slices of an examination may have these words too, so they count only where the first value is not ORIGINAL.
_AMBIGUOUS = """
3D VR SURFACE TOMO TOMOSYNTHESIS MAXIMUM MINIMUM PERFUSION PERF QUANTITY TOP PILOT PROT PROTOCOL SUMMARY RHO
"""
AMBIGUOUS = frozenset(_AMBIGUOUS.split())
TYPE_OF_WORD = {word: kind for kind, words in WORDS.items() for word in words.split()}
NAMED_PLANES = {"AXIAL": "axial", "CORONAL": "coronal", "SAGITTAL": "sagittal", "OBLIQUE": OBLIQUE}


class PictureCode(enum.StrEnum):
    """Why a picture is not served."""

    LOCALIZER = "LocalizerNotServed"
    DERIVED = "DerivedNotServed"
    PLANE = "PlaneNotServed"
    NOT_HOUNSFIELD = "NotHounsfield"
    SCREEN_SAVE = "ScreenSaveNotServed"
    TOO_FEW_PIXELS = "TooFewPixels"


CODES = {
    LOCALIZER: PictureCode.LOCALIZER,
    REFORMAT: PictureCode.DERIVED,
    PROJECTION: PictureCode.DERIVED,
    MAP: PictureCode.NOT_HOUNSFIELD,
    SCREEN_SAVE: PictureCode.SCREEN_SAVE,
    DERIVED: PictureCode.DERIVED,
    ORIGINAL: PictureCode.DERIVED,
}
SENTENCES = {
    LOCALIZER: "ImageType says that the picture is a localizer (scout), not a slice",
    REFORMAT: "ImageType says that the picture was reformatted from slices; send the slices",
    PROJECTION: "ImageType says that the picture is a projection or rendering of a volume; send the slices",
    MAP: "ImageType says that the pixels are a map of something other than Hounsfield units; send the plain slices",
    SCREEN_SAVE: "ImageType says that the picture is a screen save or report",
    DERIVED: "ImageType says DERIVED, and this stage serves original pictures only",
    ORIGINAL: "ImageType says ORIGINAL, which this stage does not serve",
}


class PictureError(Exception):
    """A picture is not served: ``code`` for programs, ``reason`` (a sentence, without PHI) for people."""

    def __init__(self, code: PictureCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures that are served: some of ALL_PLANES, and some of IMAGE_TYPES."""

    planes: tuple[str, ...] = ("axial",)
    image_types: tuple[str, ...] = (ORIGINAL, DERIVED)


Vector = tuple[float, float, float]


def frames(header: Header) -> int | None:
    """Return NumberOfFrames, 1 where it is absent; None if it is not a whole number."""
    text = header.uid("NumberOfFrames")
    return whole_number(text) if text else 1


def orientation(header: Header) -> tuple[Vector, Vector] | None:
    """Return the directions of a row and of a column in the patient's axes (left, back, head).

    Returns None if ImageOrientationPatient is absent or not two unit vectors at a right angle (PS3.3 C.7.6.2.1.1).
    """
    text = header.text("ImageOrientationPatient")
    parts = [one.strip() for one in text.split("\\")]
    if len(parts) != 6 or not all(DECIMAL.fullmatch(one) for one in parts):
        return None
    numbers = [float(one) for one in parts]
    row, column = (numbers[0], numbers[1], numbers[2]), (numbers[3], numbers[4], numbers[5])
    unit = all(abs(math.hypot(*one) - 1) < 0.05 for one in (row, column))
    return (row, column) if unit and abs(sum(a * b for a, b in zip(row, column, strict=True))) < 0.05 else None


def plane(row: Vector, column: Vector) -> tuple[str, float]:
    """Return the plane of a picture, and the degrees by which it is tilted from that plane; beyond a tilt, oblique."""
    normal = (
        abs(row[1] * column[2] - row[2] * column[1]),
        abs(row[2] * column[0] - row[0] * column[2]),
        abs(row[0] * column[1] - row[1] * column[0]),
    )
    nearest = max(range(3), key=normal.__getitem__)
    tilt = math.degrees(math.acos(min(1.0, normal[nearest] / math.hypot(*normal))))
    return (PLANES[nearest] if tilt <= MOST_TILT_DEGREES else OBLIQUE), tilt


def image_type(header: Header) -> str:
    """Return which of IMAGE_TYPES, MAP and SCREEN_SAVE the values of ImageType name; absent ones count as ORIGINAL."""
    values = header.codes("ImageType")
    texts = [" ".join(re.split(r"[^A-Z0-9]+", value)).strip() for value in values]
    original = values[:1] in {(), ("ORIGINAL",)}
    words = {word for text in texts for word in text.split()} - (AMBIGUOUS if original else frozenset())
    found = {TYPE_OF_WORD[word] for word in words & TYPE_OF_WORD.keys()}
    found |= {kind for kind, phrases in PHRASES.items() for one in phrases if any(_has(text, one) for text in texts)}
    for kind in (SCREEN_SAVE, LOCALIZER, MAP, PROJECTION, REFORMAT):
        if kind in found:
            return kind
    return ORIGINAL if original else DERIVED


def check(header: Header, served: Pictures) -> tuple[str, ...]:
    """Return notes on what is assumed of a CT picture; raise PictureError if it is not among those served."""
    found = image_type(header)
    if found not in served.image_types:
        raise PictureError(CODES[found], f"{SENTENCES[found]}.")
    notes = _check_plane(header, served)
    sides = (header.number("Rows") or 0, header.number("Columns") or 0)
    if min(sides) < LEAST_SIDE:
        raise PictureError(
            PictureCode.TOO_FEW_PIXELS,
            f"Rows x Columns is {sides[0]} x {sides[1]}; a slice has at least {LEAST_SIDE} pixels a side.",
        )
    if found == DERIVED:
        notes.append("ImageType does not say ORIGINAL: read as a plain slice.")
    if header.code("BurnedInAnnotation") == "YES":
        notes.append("BurnedInAnnotation is YES: the picture may have text in it.")
    return tuple(notes)


def assumptions(header: Header) -> tuple[str, ...]:
    """Return what is assumed of the geometry, one sentence each; a strict stage refuses it."""
    if orientation(header):
        return ()
    given = header.text("ImageOrientationPatient")
    what = "not six numbers of a right angle" if given else "absent"
    return (f"ImageOrientationPatient was {what}: taken for an axial slice of a patient on the back.",)


def _check_plane(header: Header, served: Pictures) -> list[str]:
    found = orientation(header)
    if found:
        name, tilt = plane(*found)
        if name not in served.planes:
            raise PictureError(
                PictureCode.PLANE,
                f"ImageOrientationPatient says that the plane is {name}, {tilt:.0f} degrees from the nearest of the "
                f"patient's planes; served: {', '.join(served.planes)}.",
            )
        return []
    named = [NAMED_PLANES[value] for value in header.codes("ImageType") if value in NAMED_PLANES]
    if named and named[0] not in served.planes:
        raise PictureError(
            PictureCode.PLANE,
            f"ImageType says that the plane is {named[0]}, and ImageOrientationPatient is absent; "
            f"served: {', '.join(served.planes)}.",
        )
    return []


def _has(text: str, phrase: str) -> bool:
    """Return whether the words of ``phrase`` follow each other in ``text``."""
    return f" {phrase} " in f" {text} "
