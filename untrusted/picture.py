"""Decide by the header whether a CT object is a picture that a model reads: an axial slice, not a localizer or a map.

One rule for ingest, training, container and command line. What is refused has a code and a sentence; what is assumed is
a note. No text of the object is repeated but defined terms and numbers.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from untrusted.header import Header, whole_number
from untrusted.image_type import (
    DERIVED,
    IMAGE_TYPES,
    LOCALIZER,
    MAP,
    ORIGINAL,
    PROJECTION,
    REFORMAT,
    SCREEN_SAVE,
    image_type,
)

LEAST_SIDE = 64  # pixels: a smaller picture shows no anatomy
# A gantry is tilted by 30 degrees at most; at 45 a plane is as near to another one.
MOST_TILT_DEGREES = 35.0
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
PLANES = ("sagittal", "coronal", "axial")  # by the patient's axis that is nearest to the normal: x, y, z
OBLIQUE = "oblique"
ALL_PLANES = (*PLANES, OBLIQUE)
NAMED_PLANES = {"AXIAL": "axial", "CORONAL": "coronal", "SAGITTAL": "sagittal", "OBLIQUE": OBLIQUE}


class PictureCode(enum.StrEnum):
    """Why a picture is not served."""

    LOCALIZER = "LocalizerNotServed"
    DERIVED = "DerivedNotServed"
    PLANE = "PlaneNotServed"
    NOT_HOUNSFIELD = "NotHounsfield"
    SCREEN_SAVE = "ScreenSaveNotServed"
    MISSING_GEOMETRY = "MissingGeometry"
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


PLAIN = Pictures()
"""Axial slices."""
ANY = Pictures(planes=ALL_PLANES, image_types=IMAGE_TYPES)
"""What a model may be trained to read."""
Vector = tuple[float, float, float]
# The letters of PatientOrientation (PS3.3 C.7.6.1.1.1), as directions in the patient's axes (left, back, head).
DIRECTIONS: dict[str, Vector] = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "H": (0.0, 0.0, 1.0),
    "F": (0.0, 0.0, -1.0),
}
LETTERS = re.compile("[LRAPHF]{1,3}")


def frames(header: Header) -> int | None:
    """Return NumberOfFrames, 1 where it is absent; None if it is not a whole number."""
    text = header.uid("NumberOfFrames")
    return whole_number(text) if text else 1


def orientation(header: Header) -> tuple[Vector, Vector] | None:
    """Return the directions of a row and of a column in the patient's axes (left, back, head).

    ImageOrientationPatient has them, else PatientOrientation. Returns None if neither is valid.
    """
    return _by_numbers(header) or _by_letters(header)


def _by_letters(header: Header) -> tuple[Vector, Vector] | None:
    """Return the directions by PatientOrientation, each by its first letter, that of the nearest axis."""
    values = header.codes("PatientOrientation")
    if len(values) != 2 or not all(LETTERS.fullmatch(one) for one in values):
        return None
    row, column = (DIRECTIONS[one[0]] for one in values)
    return (row, column) if not any(a * b for a, b in zip(row, column, strict=True)) else None


def _by_numbers(header: Header) -> tuple[Vector, Vector] | None:
    """Return the directions by ImageOrientationPatient.

    Returns None if it is absent or not two unit vectors at a right angle (PS3.3 C.7.6.2.1.1).
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


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What the header says of a CT picture.

    ``image_type`` as `image_type` names it; ``plane`` one of ALL_PLANES, ``tilt`` in degrees from the nearest of the
    patient's planes. ``is_oriented``: by a valid ImageOrientationPatient; else ``by_letters`` of PatientOrientation, or
    the plane is that which ImageType names, or axial. ``rows`` and ``columns`` in pixels, 0 if absent.
    ``is_synthetic``: SyntheticData says that it was made artificially; most objects do not have that attribute.
    """

    image_type: str = ORIGINAL
    plane: str = "axial"
    tilt: float = 0.0
    is_oriented: bool = True
    by_letters: bool = False
    rows: int
    columns: int
    has_text: bool = False
    is_synthetic: bool = False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is assumed of the geometry, one sentence each; a strict stage refuses it."""
        if self.is_oriented:
            return ()
        how = "as PatientOrientation says" if self.by_letters else "as it is usual"
        return (f"ImageOrientationPatient was absent or invalid: the plane is taken for {self.plane}, {how}.",)


def described(header: Header) -> Picture:
    """Return what a CT object's header says of its picture."""
    numbers = _by_numbers(header)
    directions = numbers or _by_letters(header)
    values = header.codes("ImageType")
    named = next((NAMED_PLANES[value] for value in values if value in NAMED_PLANES), "axial")
    name, tilt = plane(*directions) if directions else (named, 0.0)
    return Picture(
        image_type=image_type(values),
        plane=name,
        tilt=tilt,
        is_oriented=numbers is not None,
        by_letters=directions is not None and numbers is None,
        rows=max(header.number("Rows") or 0, 0),
        columns=max(header.number("Columns") or 0, 0),
        has_text=header.code("BurnedInAnnotation") == "YES",
        is_synthetic=header.code("SyntheticData") == "YES",
    )


def served_by(planes: Iterable[str], image_types: Iterable[str]) -> Pictures:
    """Return the pictures that a model reads which was trained on such ones: these, and derived slices."""
    planes, image_types = set(planes), {*image_types, *PLAIN.image_types}
    return Pictures(
        planes=tuple(one for one in ALL_PLANES if one in planes),
        image_types=tuple(one for one in IMAGE_TYPES if one in image_types),
    )


def check(picture: Picture, served: Pictures) -> tuple[str, ...]:
    """Return notes on a CT picture; raise PictureError if it is not among those served."""
    if picture.image_type not in served.image_types:
        raise PictureError(CODES[picture.image_type], f"{SENTENCES[picture.image_type]}.")
    if picture.plane not in served.planes:
        what = f"is {picture.plane}, {picture.tilt:.0f} degrees from the nearest of the patient's planes"
        by = "PatientOrientation" if picture.by_letters else "ImageType"
        said = (
            f"ImageOrientationPatient says that the plane {what}"
            if picture.is_oriented
            else f"{by} says that the plane is {picture.plane}, and ImageOrientationPatient is absent or invalid"
        )
        raise PictureError(PictureCode.PLANE, f"{said}; served: {', '.join(served.planes)}.")
    if not (picture.rows and picture.columns):
        raise PictureError(PictureCode.MISSING_GEOMETRY, "Rows or Columns is absent or zero; export the object again.")
    if min(picture.rows, picture.columns) < LEAST_SIDE:
        raise PictureError(
            PictureCode.TOO_FEW_PIXELS,
            f"Rows x Columns is {picture.rows} x {picture.columns}; a slice has at least {LEAST_SIDE} pixels a side.",
        )
    notes = {
        "ImageType does not say ORIGINAL: read as a plain slice.": picture.image_type == DERIVED,
        "BurnedInAnnotation is YES: the picture may have text in it.": picture.has_text,
    }
    return tuple(note for note, applies in notes.items() if applies)
