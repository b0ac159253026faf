"""The matrix: every defect in every transfer syntax, and every pixel format in every transfer syntax."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from pydicom import uid

from tests.hostile.defects import DEFECTS
from tests.hostile.objects import PIXEL_FORMATS, PLAIN, SYNTAXES, CannotEncode, PixelFormat, Spoil, good
from tests.hostile.pixel_defects import PIXEL_DEFECTS, NotThis

ALL_DEFECTS: dict[str, Spoil] = DEFECTS | PIXEL_DEFECTS
# JPEG Baseline has only eight bits, and GDCM encodes JPEG Extended of more with a precision that JPEG does not have.
FORMAT_OF = dict.fromkeys((uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit), PIXEL_FORMATS[0])
# The defects that are tried with every pixel format, not only with the plain one.
FORMAT_DEFECTS = ("sound", "cut-at-three-quarters", "rows-and-columns-huge")


@dataclass(frozen=True)
class Case:
    """One cell: ``make`` gives the object's bytes, or raises CannotEncode or NotThis with the reason."""

    name: str
    make: Callable[[], bytes]


def cases() -> Iterator[Case]:
    """Yield every cell of the matrix, also those without an object."""
    for syntax in SYNTAXES:
        plain = FORMAT_OF.get(syntax, PLAIN)
        for defect in ALL_DEFECTS:
            yield _case(syntax, plain, defect)
        for pixels in PIXEL_FORMATS:
            if pixels != plain:
                yield from (_case(syntax, pixels, defect) for defect in FORMAT_DEFECTS)


def _case(syntax: uid.UID, pixels: PixelFormat, defect: str) -> Case:
    return Case(f"{syntax.keyword}/{pixels.name}/{defect}", lambda: ALL_DEFECTS[defect](good(syntax, pixels)))


@cache
def split() -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the objects by the case's name, and the reason for each case without one."""
    objects: dict[str, bytes] = {}
    reasons: dict[str, str] = {}
    for case in cases():
        try:
            with warnings.catch_warnings(action="ignore"):  # pydicom's writer rightly warns of what it must write
                objects[case.name] = case.make()
        except (CannotEncode, NotThis) as error:
            reasons[case.name] = str(error)
    return objects, reasons
