"""Reads the header of a DICOM object from the first bytes of its file, as far as the pixel data, converting nothing.

Values stay the raw bytes of the file until one of the few attributes that the service needs is asked for, so that a
strange value in any other attribute can neither warn nor fail, and no patient's name is ever decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from pydicom import uid
from pydicom.tag import Tag

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from functions.domain.walker import MOST_ELEMENTS, MOST_VALUE_BYTES, Element, TooManyElements, allowance, elements

PREAMBLE = 128
META_GROUP = 0x0002
PIXEL_GROUP = 0x7FE0
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# An inflated header is never longer than this: a deflate bomb ends as a refusal, not as a full memory.
MAX_INFLATED = 8 * 1024 * 1024
# Nor does it come from more: deflated bytes that inflate to nothing take 0.1 s for each MiB of them.
MAX_DEFLATED = 1024 * 1024
# What stands for a value that is longer than MOST_VALUE_BYTES or a sequence. It is valid for no attribute, and no bytes
# read as it, for Latin-1 has no such letter.
NO_VALUE = "\u2026"
# All that is kept of a header: one made of nothing but elements would else fill the memory.
KEYWORDS = (
    "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "IssuerOfPatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
)
TAGS = {int(Tag(keyword)): keyword for keyword in KEYWORDS}

Values = dict[str, bytes | None]
"""By keyword; None for one that reads as NO_VALUE."""


class Header:
    """The values of ``KEYWORDS`` before the pixel data, as text or whole numbers."""

    def __init__(self, meta: Values, values: Values, *, little_endian: bool) -> None:
        self._meta = meta
        self._values = values
        self._little_endian = little_endian

    def meta_text(self, keyword: str) -> str:
        """A file meta information value as text, "" when absent or empty."""
        return _text(self._meta, keyword)

    def text(self, keyword: str) -> str:
        """A value as text without padding, "" when absent or empty; several values keep their backslashes.

        NO_VALUE, never a part, for one that is longer than MOST_VALUE_BYTES.
        """
        return _text(self._values, keyword)

    def number(self, keyword: str) -> int | None:
        """A US value as a whole number, None when absent or not two bytes."""
        raw = self._values.get(keyword)
        return int.from_bytes(raw, "little" if self._little_endian else "big") if raw and len(raw) == 2 else None


def read_header(prefix: bytes, object_bytes: int) -> Header:
    """Read the header from ``prefix``, the first bytes of an object of ``object_bytes`` bytes.

    Raises HeaderIncomplete when the header goes on after the prefix, Refusal when the object is not DICOM or has no
    pixel data. DICOM PS3.10 section 7 gives the file format.
    """
    whole = len(prefix) >= object_bytes
    if prefix[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise Refusal(RefusalCode.NOT_DICOM, "The object is not a DICOM file: the letters DICM are not at byte 128.")
    try:
        return _read(prefix, whole)
    except TooManyElements:
        raise Refusal(
            RefusalCode.HEADER_TOO_LONG,
            f"The header has more than {MOST_ELEMENTS} elements, those inside of sequences included.",
        ) from None
    except (EOFError, ValueError) as error:
        if not whole:
            raise HeaderIncomplete from error
        raise _refusal(error) from error


class _Ended(EOFError):
    """The data set ends, after an element, before any pixel data."""


def _refusal(error: EOFError | ValueError) -> Refusal:
    if isinstance(error, _Ended):
        return _no_pixel_data()
    if isinstance(error, EOFError):
        return Refusal(
            RefusalCode.TRUNCATED_HEADER, "The object ends in the middle of its header; send the whole file."
        )
    return Refusal(RefusalCode.UNREADABLE_HEADER, f"The header is damaged: it has {error}; export the object again.")


def _read(prefix: bytes, whole: bool) -> Header:
    steps = allowance()
    meta, at = _meta(prefix, steps)
    syntax = _text(meta, "TransferSyntaxUID")
    if not syntax:
        if not whole:
            raise HeaderIncomplete
        raise Refusal(
            RefusalCode.TRANSFER_SYNTAX_NOT_SERVED,
            "The file meta information names no TransferSyntaxUID, so the bytes cannot be understood.",
        )
    little_endian, implicit = syntax != uid.ExplicitVRBigEndian, syntax == uid.ImplicitVRLittleEndian
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        return Header(meta, _values(prefix, at, implicit, little_endian, steps), little_endian=little_endian)
    inflated = _inflate(prefix[at : at + MAX_DEFLATED])
    try:
        return Header(meta, _values(inflated, 0, implicit, little_endian, steps), little_endian=True)
    except EOFError:
        if len(inflated) < MAX_INFLATED and len(prefix) - at < MAX_DEFLATED:
            raise
        raise Refusal(
            RefusalCode.HEADER_TOO_LONG,
            f"The header is longer than {MAX_DEFLATED} bytes, or than {MAX_INFLATED} when it is inflated.",
        ) from None


def _meta(prefix: bytes, steps: Iterator[int]) -> tuple[Values, int]:
    """The file meta information, and where the data set begins."""
    meta: Values = {}
    for element in elements(prefix, PREAMBLE + 4, implicit=False, little_endian=True, steps=steps):
        if element.tag >> 16 != META_GROUP:
            return meta, element.at
        _keep(meta, prefix, element)
    return meta, len(prefix)


def _values(data: bytes, at: int, implicit: bool, little_endian: bool, steps: Iterator[int]) -> Values:
    """What is asked for of the data set at ``at``, whose pixel data have been reached."""
    values: Values = {}
    for element in elements(data, at, implicit=implicit, little_endian=little_endian, steps=steps):
        if element.tag in PIXEL_TAGS:
            return values
        if element.tag >> 16 > PIXEL_GROUP:  # a group length or an offset table stands before the pixels
            raise _no_pixel_data()
        _keep(values, data, element)
    raise _Ended


def _no_pixel_data() -> Refusal:
    return Refusal(RefusalCode.NO_PIXEL_DATA, "The object has no pixel data, so there is nothing to read.")


def _keep(values: Values, data: bytes, element: Element) -> None:
    """Take the element's value if it is asked for; of an element that comes twice the last counts.

    A value of undefined length is longer than any.
    """
    keyword = TAGS.get(element.tag)
    if keyword:
        kept = element.length <= MOST_VALUE_BYTES
        values[keyword] = data[element.start : element.start + element.length] if kept else None


def _inflate(deflated: bytes) -> bytes:
    """The inflated start of a deflated data set."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, MAX_INFLATED)
    except zlib.error as error:
        raise Refusal(
            RefusalCode.UNREADABLE_HEADER, "The deflated data set cannot be inflated; export the object again."
        ) from error


def _text(values: Values, keyword: str) -> str:
    raw = values.get(keyword, b"")
    # Latin-1 keeps different bytes different, whatever the object's character set: two names never become one text.
    return NO_VALUE if raw is None else raw.decode("latin-1").strip(" \0")
