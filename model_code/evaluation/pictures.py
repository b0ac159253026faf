"""Decides which slices a report may show: people pass reports on, and pixels may hold a patient's name."""

from __future__ import annotations

import enum
from pathlib import Path

from model_code.evaluation.report.png import encode
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import KEYWORDS as PIXEL_KEYWORDS
from model_code.reading.elements import Elements, read_elements
from model_code.snapshot import Case
from model_code.transforms import Preprocessing

KEYWORD = "BurnedInAnnotation"
# Rows and columns of a picture, in the lung window of the default preprocessing.
PICTURE_SIZE = 224


class BurnedIn(enum.StrEnum):
    """What an object states about text in its pixels (DICOM PS3.3 section C.7.6.1), in words for the page."""

    NO = "is NO"
    YES = "is YES"
    ABSENT = "is absent"
    OTHER = "has another value"


class ReportPictures(enum.StrEnum):
    """The stage's setting ``report_pictures``: which slices a report shows."""

    IF_NO = "if_no"
    UNLESS_YES = "unless_yes"
    NEVER = "never"

    def allows(self, burned_in: BurnedIn) -> bool:
        """Return whether the picture of a slice may be shown; a value that DICOM does not define forbids it."""
        return burned_in in _SHOWN[self]


_SHOWN = {
    ReportPictures.IF_NO: {BurnedIn.NO},
    ReportPictures.UNLESS_YES: {BurnedIn.NO, BurnedIn.ABSENT},
    ReportPictures.NEVER: set[BurnedIn](),
}


def burned_in(elements: Elements) -> BurnedIn:
    """Return one of four statements about the elements, never the value itself, which may be any text."""
    text = elements.text(KEYWORD)
    return {"NO": BurnedIn.NO, "YES": BurnedIn.YES, "": BurnedIn.ABSENT}.get(text, BurnedIn.OTHER)


def picture_of(case: Case, folder: Path, pictures: ReportPictures) -> tuple[BurnedIn, bytes]:
    """Return what a slice states of text in its pixels, and its picture as a PNG: b"" if it may not be shown.

    The slice has been decoded before.
    """
    elements = read_elements(case.read(folder), {*PIXEL_KEYWORDS, KEYWORD})
    stated = burned_in(elements)
    if not pictures.allows(stated):
        return stated, b""
    image = Preprocessing(image_size=PICTURE_SIZE).prepare(read_slice(elements))[0]
    return stated, encode((image * 255).round().byte().numpy())
