"""Read the header of a DICOM file: the one reader of ingest, container and command line (DICOM PS3.10 section 7).

It keeps the values of the wanted attributes and where the pixel data is, and converts nothing. So a strange value in
any other attribute can neither warn nor fail, and no patient's name is ever decoded. Where bytes and labels disagree,
the bytes count, and a note says so.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

from untrusted.attributes import META
from untrusted.encoding import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, Bounds, encoding_of, inflate, is_deflated
from untrusted.formats import described
from untrusted.walker import (
    KNOWN_VRS,
    LONGEST_PLAUSIBLE,
    MOST_ELEMENTS,
    MOST_VALUE_BYTES,
    NO_VR,
    PIXEL_DATA,
    UNDEFINED_LENGTH,
    Element,
    EndsInside,
    TooManyElements,
    allowance,
    elements,
    name_of,
)

PREAMBLE = 128
PREFIX = b"DICM"
START = PREAMBLE + len(PREFIX)
META_GROUP, PIXEL_GROUP = 0x0002, 0x7FE0
OTHER_PIXELS = {0x7FE00008: "Float Pixel Data", 0x7FE00009: "Double Float Pixel Data"}
AFTER_ALL = 0x1_0000_0000  # greater than any tag
DICOMDIR = "1.2.840.10008.1.3.10"
IMPLICIT_LENGTH_OF_FOUR = b"\x04\0\0\0"  # of the group length, which is first
# Substitutes a value that is longer than MOST_VALUE_BYTES, or a sequence. It is valid for no attribute, and no bytes
# decode to it: Latin-1 lacks this letter.
NO_VALUE = "\u2026"
PADDING = " \0"
PADDING_OF_WRITERS = " \0\t\r\n"  # around identifiers, codes and counts
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.0*)?")
TEXT_VRS = frozenset({b"IS", b"DS"})
# The codes of `struct` for VRs whose values are binary numbers; some writers use them for numbers that are texts.
BINARY_VRS = {
    b"US": "H",
    b"SS": "h",
    b"UL": "L",
    b"SL": "l",
    b"UV": "Q",
    b"SV": "q",
    b"FL": "f",
    b"FD": "d",
}
MOST_NUMBER = 0xFFFF  # what is larger may be a person's number or text, and no count
# A private element of this many bytes in an object without pixel data may be the picture.
PICTURE_BYTES = 4096


class HeaderCode(enum.StrEnum):
    """Why a header is not read."""

    NOT_DICOM = "NotDicom"
    TRUNCATED = "TruncatedHeader"
    UNREADABLE = "UnreadableHeader"
    TOO_LONG = "HeaderTooLong"
    NO_PIXEL_DATA = "NoPixelData"
    NO_SYNTAX = "TransferSyntaxNotServed"


class HeaderError(Exception):
    """A header is not read: ``code`` for programs, ``reason`` (a sentence, without PHI) for people."""

    def __init__(self, code: HeaderCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.header: Header | None = None


class Ended(EOFError):
    """The data set ends, after an element, before any pixel data."""


class Incomplete(Exception):
    """The bytes end before the pixel data, and the object has more; ``header`` is what was read."""

    def __init__(self, header: Header) -> None:
        super().__init__("the header continues")
        self.header = header


class Header:
    """The values of the wanted attributes, and the pixel data.

    It fills while it is read. If the reading ended early, ``has_passed`` says which attributes were reached.
    ``disputed`` has the keywords that the object has twice, with different values: the other value may be the true one.
    ``pixels`` is the pixel data's element in ``data``, the bytes of the (inflated) data set; None without one.
    """

    def __init__(self, wanted: Mapping[str, int] | None = None) -> None:
        """Begin to read ``wanted``, the tags by keyword; META is always read."""
        self._tags = META | dict(wanted or {})
        self._keywords = {tag: keyword for keyword, tag in self._tags.items()}
        self.notes: list[str] = []
        self.disputed: set[str] = set()
        self.transfer_syntax = ""
        self.data = b""
        self.pixels: Element | None = None
        self._values: dict[str, bytes | None] = {}
        self._vrs: dict[str, bytes] = {}
        self._little_endian = True
        self._reached = 0  # the greatest tag of an element that was read to its end
        self._private = (0, 0)  # the longest private element: its length and tag

    @property
    def little_endian(self) -> bool:
        """Whether numbers in the data set have their lowest byte first."""
        return self._little_endian

    def has_passed(self, keyword: str) -> bool:
        """Return whether the reading passed this attribute, so that it is absent in the object if it is absent here."""
        return self._reached > self._tags[keyword]

    @property
    def has_passed_pixels(self) -> bool:
        """Whether elements came whose tags are greater than that of any pixel data."""
        return self._reached >> 16 > PIXEL_GROUP

    def text(self, keyword: str) -> str:
        """Return a value as text without padding, "" when absent or empty; several values keep their backslashes.

        Binary numbers are written out. Returns NO_VALUE, never a part, for a value that is longer than
        MOST_VALUE_BYTES.
        """
        raw = self._values.get(keyword, b"")
        if raw is None:
            return NO_VALUE
        code = BINARY_VRS.get(self._vrs.get(keyword, b""))
        if code and len(raw) % struct.calcsize(f"<{code}") == 0:
            numbers = struct.iter_unpack(f"{'<' if self._little_endian else '>'}{code}", raw)
            return "\\".join(repr(number) for (number,) in numbers)
        # Latin-1 keeps different bytes different, whatever the object's character set: two names never become one.
        return raw.decode("latin-1").strip(PADDING)

    def uid(self, keyword: str) -> str:
        """Return an identifier without the tabs and new lines around it that some writers add."""
        return self.text(keyword).strip(PADDING_OF_WRITERS)

    def code(self, keyword: str) -> str:
        """Return a Code String (CS) in capitals: some writers use small letters."""
        return self.uid(keyword).upper()

    def codes(self, keyword: str) -> tuple[str, ...]:
        """Return all values of a Code String, in capitals and without padding."""
        text = self.code(keyword)
        return tuple(one.strip(PADDING_OF_WRITERS) for one in text.split("\\")) if text else ()

    def number(self, keyword: str) -> int | None:
        """Return one whole number, from whatever VR it was written in; None when absent or not one."""
        raw, vr = self._values.get(keyword), self._vrs.get(keyword, b"")
        if not raw:
            return None
        if vr in TEXT_VRS:
            number = whole_number(self.uid(keyword))
            return number if number is not None and abs(number) <= MOST_NUMBER else None
        if len(raw) not in {2, 4, 8}:
            return None
        signed = vr in {b"SS", b"SL", b"SV"}
        number = int.from_bytes(raw, "little" if self._little_endian else "big", signed=signed)
        return number if abs(number) <= MOST_NUMBER else None

    def read_meta(self, data: bytes, steps: Iterator[int]) -> int:
        """Read the file meta information; return where the data set begins.

        It is in Explicit VR, but a few writers write it in Implicit VR.
        """
        implicit = data[START + 4 : START + 8] == IMPLICIT_LENGTH_OF_FOUR
        walk = elements(data, START, implicit=implicit, little_endian=True, steps=steps, group=META_GROUP)
        for element in walk:
            if element.tag >> 16 != META_GROUP:
                return element.at
            self._keep(data, element)
        return len(data)

    def read_values(self, data: bytes, at: int, syntax: str, steps: Iterator[int]) -> None:
        """Read the data set at ``at``, encoded as ``syntax``, up to its pixel data.

        Raises Ended if it ends before, HeaderError for pixel data of another kind, and what ``elements`` raises.
        """
        self.data, self._little_endian = data, syntax != BIG_ENDIAN
        before = 0
        for element in self._walk(at, syntax == IMPLICIT, steps):
            # Only after the next element was read: damaged bytes may look like any tag.
            self._reached = max(self._reached, before)
            if element.tag == PIXEL_DATA:
                self._reached, self.pixels = AFTER_ALL, element
                return
            if element.tag in OTHER_PIXELS:
                self._reached = AFTER_ALL
                raise HeaderError(
                    HeaderCode.NO_PIXEL_DATA, f"The object has {OTHER_PIXELS[element.tag]}; whole numbers are read."
                )
            if element.tag >> 16 != META_GROUP:  # its values are in the file meta information, or nowhere
                self._keep(data, element)
            before = element.tag
        self._reached = max(self._reached, before)
        raise Ended

    def read_behind(self, steps: Iterator[int]) -> None:
        """Read wanted attributes behind the pixel data, where a few writers put them; those before it win."""
        if self.pixels is None:
            return
        behind = Header(self._tags)
        with suppress(ValueError, EOFError):
            walk = self._walk(self.pixels.at, self.pixels.vr == NO_VR, steps)
            for element in walk:
                behind._keep(self.data, element)
        missing = behind._values.keys() - self._values.keys()
        both = behind._values.keys() & self._values.keys()
        self.disputed |= behind.disputed | {one for one in both if behind._values[one] != self._values[one]}
        for keyword in missing:
            self._values[keyword], self._vrs[keyword] = behind._values[keyword], behind._vrs[keyword]
        if missing:
            self.notes.append("Attributes behind the pixel data were read: the elements are out of order.")

    def _walk(self, at: int, implicit: bool, steps: Iterator[int]) -> Iterator[Element]:
        return elements(self.data, at, implicit=implicit, little_endian=self._little_endian, steps=steps)

    def _keep(self, data: bytes, element: Element) -> None:
        """Keep the element's value if it is wanted; the last of duplicate elements counts.

        A value of undefined length counts as too long. A value that is cut off is dropped: a part may be another's.
        """
        if element.tag >> 16 & 1 and element.length <= len(data):
            self._private = max(self._private, (element.length, element.tag))
        keyword = self._keywords.get(element.tag)
        if not keyword:
            return
        end = element.start + element.length
        is_second, before = keyword in self._values, self._values.get(keyword)
        self._vrs[keyword] = element.vr
        if element.length > MOST_VALUE_BYTES:
            self._values[keyword] = None
        elif end <= len(data):
            self._values[keyword] = data[element.start : end]
        else:
            self._values.pop(keyword, None)
        if is_second and before != self._values.get(keyword):
            self.disputed.add(keyword)

    def is_plausible(self, element: Element) -> bool:
        """Return whether the element may be one that the file's end cuts off: its tag, VR and length are in order."""
        known = element.vr in KNOWN_VRS | {NO_VR}
        ordinary = element.length <= LONGEST_PLAUSIBLE or element.length == UNDEFINED_LENGTH
        return known and ordinary and element.tag > self._reached

    def no_pixel_data(self) -> HeaderError:
        """Return the error for an object without pixel data; a private element may be a picture in a vendor's way."""
        if DICOMDIR in {self.uid("MediaStorageSOPClassUID"), self.uid("SOPClassUID")}:
            return HeaderError(
                HeaderCode.NO_PIXEL_DATA, "The object is a DICOMDIR, the index of a medium; send the files it lists."
            )
        length, tag = self._private
        hint = " If it is an image, its file is cut: send the whole file." if "Rows" in self._values else ""
        if length >= PICTURE_BYTES:
            hint = (
                f" Its private element {name_of(tag)} of {length} bytes may be a picture in the vendor's own format; "
                "export it as a standard CT image."
            )
        return HeaderError(
            HeaderCode.NO_PIXEL_DATA, f"The object has no pixel data, so there is nothing to read.{hint}"
        )


def whole_number(text: str) -> int | None:
    """Return the whole number in a text such as 1, 01, +1 or 1.0; None if it is none."""
    return int(float(text)) if WHOLE_NUMBER.fullmatch(text) else None


def read_header(
    data: bytes, object_bytes: int, wanted: Mapping[str, int], bounds: Bounds, *, behind: bool = False
) -> Header:
    """Return the header in ``data``, the first bytes of an object of ``object_bytes`` bytes.

    ``wanted`` has the tags by keyword; with ``behind`` they may also follow the pixel data. Raises Incomplete if the
    header continues after ``data``, HeaderError if the object is not DICOM, damaged, or without pixel data; both have
    what was read.
    """
    header = Header(wanted)
    whole = len(data) >= object_bytes
    steps = allowance()
    try:
        _read(header, data, steps, bounds, whole=whole)
    except (HeaderError, EOFError, ValueError) as problem:
        if not whole and not isinstance(problem, (HeaderError, TooManyElements)):
            raise Incomplete(header) from problem
        error = problem if isinstance(problem, HeaderError) else _error(problem, header)
        error.header = header
        raise error from None
    if behind:
        header.read_behind(steps)
    return header


def _error(problem: EOFError | ValueError, header: Header) -> HeaderError:
    if isinstance(problem, TooManyElements):
        return HeaderError(
            HeaderCode.TOO_LONG,
            f"The header has more than {MOST_ELEMENTS} elements, those inside of sequences included.",
        )
    if isinstance(problem, Ended):
        return header.no_pixel_data()
    element = problem.element if isinstance(problem, EndsInside) else None
    if element and not header.is_plausible(element):
        return HeaderError(
            HeaderCode.UNREADABLE,
            f"The header is damaged: the element {name_of(element.tag)} has a length of {element.length} bytes, more "
            "than follow; export the object again.",
        )
    if isinstance(problem, EOFError):
        where = f"in the element {name_of(element.tag)}" if element else "in the middle of its header"
        return HeaderError(HeaderCode.TRUNCATED, f"The object ends {where}; send the whole file.")
    return HeaderError(HeaderCode.UNREADABLE, f"The header is damaged: it has {problem}; export the object again.")


def _read(header: Header, data: bytes, steps: Iterator[int], bounds: Bounds, *, whole: bool) -> None:
    if data[PREAMBLE:START] != PREFIX:
        what, advice = described(data)
        found = f"The object is {what}, not a DICOM file" if what else "The object is not a DICOM file"
        raise HeaderError(HeaderCode.NOT_DICOM, f"{found}: the letters DICM are not at byte {PREAMBLE}; {advice}.")
    at = header.read_meta(data, steps)
    header.transfer_syntax = header.uid("TransferSyntaxUID")
    if not header.transfer_syntax:
        if not whole and at == len(data):
            raise EndsInside
        with suppress(EOFError, ValueError, HeaderError):  # a guess at the encoding; nothing so read is served
            header.read_values(data, at, encoding_of(data, at) or EXPLICIT, steps)
        raise HeaderError(
            HeaderCode.NO_SYNTAX,
            "The file meta information names no TransferSyntaxUID, so the bytes cannot be understood.",
        )
    found = encoding_of(data, at)
    if not found and (header.transfer_syntax == DEFLATED or is_deflated(data, at)):
        _note_encoding(header, DEFLATED)
        _read_deflated(header, data[at : at + bounds.deflated], len(data) - at, steps, bounds)
        return
    _note_encoding(header, found)
    header.read_values(data, at, header.transfer_syntax, steps)


def _note_encoding(header: Header, found: str) -> None:
    """Correct the transfer syntax where the bytes' order or compression contradicts it, and note that."""
    declared = header.transfer_syntax
    contradicts = declared in {BIG_ENDIAN, DEFLATED} or found in {BIG_ENDIAN, DEFLATED}
    if found and found != declared and contradicts:
        header.transfer_syntax = found
        header.notes.append(
            f"The data set is encoded as {found}, not as TransferSyntaxUID says: read as it is encoded."
        )


def _read_deflated(header: Header, deflated: bytes, held: int, steps: Iterator[int], bounds: Bounds) -> None:
    inflated, damaged = inflate(deflated, bounds)
    if damaged:
        with suppress(EOFError, ValueError, HeaderError):
            header.read_values(inflated, 0, EXPLICIT, steps)
        raise HeaderError(HeaderCode.UNREADABLE, "The deflated data set cannot be inflated; export the object again.")
    try:
        header.read_values(inflated, 0, EXPLICIT, steps)
    except EOFError:
        if len(inflated) < bounds.inflated and held < bounds.deflated:
            raise
        raise HeaderError(
            HeaderCode.TOO_LONG,
            f"The header is longer than {bounds.deflated} bytes, or than {bounds.inflated} when it is inflated.",
        ) from None
