"""Reads the header of a DICOM object from the first bytes of its file, as far as the pixel data, converting nothing.

Only the few attributes that the service needs are converted, when they are read. So a strange value in any other
attribute can neither warn nor fail, and no patient's name is ever decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from pydicom import uid
from pydicom.tag import Tag

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from untrusted.walker import MOST_ELEMENTS, MOST_VALUE_BYTES, Element, TooManyElements, allowance, elements

FIRST_READ = 64 * 1024  # holds the whole header of an ordinary object
LONGEST_READ = 8 * 1024 * 1024
PREAMBLE = 128
META_GROUP = 0x0002
PIXEL_GROUP = 0x7FE0
AFTER_ALL = 0x1_0000_0000  # greater than any tag
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# An inflated header is never longer than this: a deflate bomb ends as a refusal, not as a full memory.
MAX_INFLATED = 8 * 1024 * 1024
# Nor is more than this inflated: deflated bytes that inflate to nothing take 0.1 s for each MiB of them.
MAX_DEFLATED = 1024 * 1024
INFLATED_AT_ONCE = 4096  # so that the bytes before a damage are kept
# The substitute for a value that is longer than MOST_VALUE_BYTES, or a sequence. It is valid for no attribute, and no
# bytes decode to it: Latin-1 lacks this letter.
NO_VALUE = "\u2026"
# Only these are kept: a header of nothing but elements would fill the memory otherwise.
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
"""Values by keyword; None reads as NO_VALUE."""


class Header:
    """The values of ``KEYWORDS`` before the pixel data, as text or whole numbers.

    It fills while it is read. If the reading ended early, ``has_passed`` says which attributes were reached.
    """

    def __init__(self) -> None:
        self._meta: Values = {}
        self._values: Values = {}
        self._little_endian = True
        self._reached = 0  # the greatest tag of an element that was read to its end

    def has_passed(self, keyword: str) -> bool:
        """Return whether the reading passed this attribute, so that it is absent in the object if it is absent here."""
        return self._reached > int(Tag(keyword))

    def meta_text(self, keyword: str) -> str:
        """Return a file meta information value as text, "" when absent or empty."""
        return _text(self._meta, keyword)

    def text(self, keyword: str) -> str:
        """Return a value as text without padding, "" when absent or empty; several values keep their backslashes.

        Returns NO_VALUE, never a part, for a value that is longer than MOST_VALUE_BYTES.
        """
        return _text(self._values, keyword)

    def number(self, keyword: str) -> int | None:
        """Return a US value as a whole number, None when absent or not two bytes."""
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
        """Read the data set at ``at`` up to its pixel data; raise _Ended, or a Refusal, if it has no pixel data."""
        self._little_endian = little_endian
        before = 0
        for element in elements(data, at, implicit=implicit, little_endian=little_endian, steps=steps):
            # Only after the next element was read: damaged bytes may look like any tag.
            self._reached = max(self._reached, before)
            if element.tag in PIXEL_TAGS:
                self._reached = AFTER_ALL
                return
            if element.tag >> 16 > PIXEL_GROUP:  # a group length or an offset table precedes the pixels
                raise _no_pixel_data()
            _keep(self._values, data, element)
            before = element.tag
        raise _Ended


def read_header(prefix: bytes, object_bytes: int) -> Header:
    """Read the header from ``prefix``, the first bytes of an object of ``object_bytes`` bytes.

    Raises HeaderIncomplete if the header continues after the prefix, Refusal if the object is not DICOM or has no pixel
    data; both have the part of the header that was read. DICOM PS3.10 section 7 gives the file format.
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


def header_of(head: Callable[[int], bytes], object_bytes: int) -> Header:
    """Return the header of an object of ``object_bytes`` bytes; ``head(n)`` returns its first n bytes.

    A header that is longer than FIRST_READ is read once more, up to LONGEST_READ. Each reading starts from the
    beginning, so more readings would multiply the cost of a hostile header. Raises Refusal if the object is not
    readable DICOM, and whatever ``head`` raises.
    """
    with suppress(HeaderIncomplete):
        return read_header(head(FIRST_READ), object_bytes)
    try:
        return read_header(head(LONGEST_READ), object_bytes)
    except HeaderIncomplete as error:
        refusal = Refusal(
            RefusalCode.HEADER_TOO_LONG,
            f"The header is longer than {LONGEST_READ} bytes; remove embedded documents from it.",
        )
        refusal.header = error.header
        raise refusal from None


def start_of(head: Callable[[int], bytes], object_bytes: int) -> Header | None:
    """Return the header in the first FIRST_READ bytes of an object, as far as it goes; None if S3 refuses them."""
    try:
        return read_header(head(FIRST_READ), object_bytes)
    except (Refusal, HeaderIncomplete) as error:
        return error.header


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
        with suppress(EOFError, ValueError, Refusal):  # a guess at the encoding; no value that was read so is served
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
    """Keep the element's value if its keyword is among KEYWORDS; the last of duplicate elements counts.

    A value of undefined length counts as too long. A value that is cut off is dropped: a part of it may be another's.
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
    """Return the inflated start of a deflated data set, up to any damage, and the Refusal for that damage."""
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
