"""Reads the header of a DICOM object from the first bytes of its file, as far as the pixel data, converting nothing.

Values stay the raw bytes of the file until one of the few attributes that the service needs is asked for, so that a
strange value in any other attribute can neither warn nor fail, and no patient's name is ever decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress

from pydicom import uid
from pydicom.tag import Tag

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from untrusted.walker import MOST_ELEMENTS, MOST_VALUE_BYTES, Element, TooManyElements, allowance, elements

PREAMBLE = 128
META_GROUP = 0x0002
PIXEL_GROUP = 0x7FE0
AFTER_ALL = 0x1_0000_0000  # no tag is as great
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# An inflated header is never longer than this: a deflate bomb ends as a refusal, not as a full memory.
MAX_INFLATED = 8 * 1024 * 1024
# Nor does it come from more: deflated bytes that inflate to nothing take 0.1 s for each MiB of them.
MAX_DEFLATED = 1024 * 1024
INFLATED_AT_ONCE = 4096  # so that damage later in the bytes does not take what came before it
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
    """The values of ``KEYWORDS`` before the pixel data, as text or whole numbers.

    It is filled while it is read. Of one whose reading ended early ``has_passed`` says what it can be asked for.
    """

    def __init__(self) -> None:
        self._meta: Values = {}
        self._values: Values = {}
        self._little_endian = True
        self._reached = 0  # the greatest tag of an element that was read to its end

    def has_passed(self, keyword: str) -> bool:
        """Whether the reading came past this attribute, so that one that is absent here is absent in the object."""
        return self._reached > int(Tag(keyword))

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

    def read_meta(self, prefix: bytes, steps: Iterator[int]) -> int:
        """Read the file meta information; return where the data set begins."""
        for element in elements(prefix, PREAMBLE + 4, implicit=False, little_endian=True, steps=steps):
            if element.tag >> 16 != META_GROUP:
                return element.at
            _keep(self._meta, prefix, element)
        return len(prefix)

    def read_values(self, data: bytes, at: int, steps: Iterator[int], *, implicit: bool, little_endian: bool) -> None:
        """Read the data set at ``at`` as far as its pixel data; raise _Ended, or a Refusal, when it has none."""
        self._little_endian = little_endian
        before = 0
        for element in elements(data, at, implicit=implicit, little_endian=little_endian, steps=steps):
            # Only of an element that another one follows: where bytes are damaged, any tag may seem to be.
            self._reached = max(self._reached, before)
            if element.tag in PIXEL_TAGS:
                self._reached = AFTER_ALL
                return
            if element.tag >> 16 > PIXEL_GROUP:  # a group length or an offset table stands before the pixels
                raise _no_pixel_data()
            _keep(self._values, data, element)
            before = element.tag
        raise _Ended


def read_header(prefix: bytes, object_bytes: int) -> Header:
    """Read the header from ``prefix``, the first bytes of an object of ``object_bytes`` bytes.

    Raises HeaderIncomplete when the header goes on after the prefix, Refusal when the object is not DICOM or has no
    pixel data; both have the part of the header that was read. DICOM PS3.10 section 7 gives the file format.
    """
    header = Header()
    try:
        _read_into(header, prefix, object_bytes)
    except (Refusal, HeaderIncomplete) as error:
        error.header = header
        raise
    return header


def _read_into(header: Header, prefix: bytes, object_bytes: int) -> None:
    whole = len(prefix) >= object_bytes
    if prefix[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise Refusal(RefusalCode.NOT_DICOM, "The object is not a DICOM file: the letters DICM are not at byte 128.")
    try:
        _read(header, prefix, whole)
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


def _read(header: Header, prefix: bytes, whole: bool) -> None:
    steps = allowance()
    at = header.read_meta(prefix, steps)
    syntax = header.meta_text("TransferSyntaxUID")
    if not syntax:
        if not whole:
            raise HeaderIncomplete
        with suppress(EOFError, ValueError, Refusal):  # most likely; and no value is served that was read so
            header.read_values(prefix, at, steps, implicit=False, little_endian=True)
        raise Refusal(
            RefusalCode.TRANSFER_SYNTAX_NOT_SERVED,
            "The file meta information names no TransferSyntaxUID, so the bytes cannot be understood.",
        )
    little_endian, implicit = syntax != uid.ExplicitVRBigEndian, syntax == uid.ImplicitVRLittleEndian
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        header.read_values(prefix, at, steps, implicit=implicit, little_endian=little_endian)
        return
    inflated, damage = _inflate(prefix[at : at + MAX_DEFLATED])
    if damage:
        with suppress(EOFError, ValueError, Refusal):
            header.read_values(inflated, 0, steps, implicit=False, little_endian=True)
        raise damage
    try:
        header.read_values(inflated, 0, steps, implicit=False, little_endian=True)
    except EOFError:
        if len(inflated) < MAX_INFLATED and len(prefix) - at < MAX_DEFLATED:
            raise
        raise Refusal(
            RefusalCode.HEADER_TOO_LONG,
            f"The header is longer than {MAX_DEFLATED} bytes, or than {MAX_INFLATED} when it is inflated.",
        ) from None


def _no_pixel_data() -> Refusal:
    return Refusal(RefusalCode.NO_PIXEL_DATA, "The object has no pixel data, so there is nothing to read.")


def _keep(values: Values, data: bytes, element: Element) -> None:
    """Take the element's value if it is asked for; of an element that comes twice the last counts.

    A value of undefined length is longer than any. One that the bytes end in is none: a part of it may be another's.
    """
    keyword = TAGS.get(element.tag)
    if not keyword:
        return
    end = element.start + element.length
    if element.length > MOST_VALUE_BYTES:
        values[keyword] = None
    elif end <= len(data):
        values[keyword] = data[element.start : end]
    else:
        values.pop(keyword, None)


def _inflate(deflated: bytes) -> tuple[bytes, Refusal | None]:
    """The inflated start of a deflated data set; all before the damage, and the damage, where there is one."""
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    for start in range(0, len(deflated), INFLATED_AT_ONCE):
        try:
            piece = deflated[start : start + INFLATED_AT_ONCE]
            inflated += inflater.decompress(piece, MAX_INFLATED - len(inflated))
        except zlib.error:
            return bytes(inflated), Refusal(
                RefusalCode.UNREADABLE_HEADER, "The deflated data set cannot be inflated; export the object again."
            )
        if inflater.eof or len(inflated) >= MAX_INFLATED:
            break
    return bytes(inflated), None


def _text(values: Values, keyword: str) -> str:
    raw = values.get(keyword, b"")
    # Latin-1 keeps different bytes different, whatever the object's character set: two names never become one text.
    return NO_VALUE if raw is None else raw.decode("latin-1").strip(" \0")
