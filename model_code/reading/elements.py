"""Finds the few data elements that a prediction needs in the bytes of a DICOM file.

The rest of the header is skipped unread, so a strange value there can neither warn nor fail, and no patient's name is
ever decoded. DICOM PS3.10 section 7 defines the file format.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom import uid
from pydicom.tag import Tag

from model_code.errors import InstanceCode, InstanceError
from untrusted.walker import MOST_VALUE_BYTES, Element, allowance, elements

PREAMBLE = 128
PREFIX = b"DICM"
META_GROUP = 0x0002
TRANSFER_SYNTAX_UID = int(Tag("TransferSyntaxUID"))
TRANSFER_SYNTAXES = frozenset(map(str, uid.AllTransferSyntaxes))
PIXEL_DATA = int(Tag("PixelData"))
PIXEL_DATA_TAGS = frozenset({int(Tag("FloatPixelData")), int(Tag("DoubleFloatPixelData")), PIXEL_DATA})
# Ingest admits no longer header; without a bound, a body of nothing but elements would delay the next requests.
MAX_HEADER = 16 * 1024 * 1024
# A deflated data set may not inflate beyond this: a deflate bomb ends as an error document, not in a full memory.
MAX_INFLATED = 64 * 1024 * 1024
# Nor may it be longer: 4096 x 4096 pixels that deflate cannot shorten take 32 MiB, and bytes that inflate to nothing
# take 0.08 s for each MiB.
MAX_DEFLATED = 36 * 1024 * 1024
# Replaces a value that is longer than MOST_VALUE_BYTES or a sequence. It is invalid for every attribute, and no bytes
# decode to it.
NO_VALUE = "\u2026"
UID_PATTERN = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # DICOM PS3.5 section 9.1
UID_LENGTH = 64


@dataclass(frozen=True)
class Elements:
    """Raw values by tag, and ``pixel_data``: the value of PixelData up to the end of the file, None without one.

    A value is None if it is replaced by NO_VALUE.
    """

    transfer_syntax: uid.UID
    values: dict[int, bytes | None]
    pixel_data: bytes | None
    pixel_data_length: int
    pixel_data_vr: bytes = b""

    def text(self, keyword: str) -> str:
        """Return the value as text without padding, "" if absent or empty, NO_VALUE if too long."""
        return _text(self.values.get(Tag(keyword), b""))

    def number(self, keyword: str) -> int | None:
        """Return the value of a US attribute, None if absent or not two bytes."""
        raw = self.values.get(Tag(keyword))
        order = "little" if self.transfer_syntax.is_little_endian else "big"
        return int.from_bytes(raw, order) if raw and len(raw) == 2 else None  # type: ignore[arg-type]


def read_elements(body: bytes, keywords: Iterable[str]) -> Elements:
    """Return the attributes named by ``keywords``, which must be in the data set itself, and the pixel data.

    Raises InstanceError: NotDicom, DamagedHeader, UnsupportedTransferSyntax.
    """
    if body[PREAMBLE : PREAMBLE + len(PREFIX)] != PREFIX:
        raise InstanceError(InstanceCode.NOT_DICOM, "The bytes are not a DICOM file: DICM is not at byte 128.")
    try:
        return _read(body, {int(Tag(keyword)) for keyword in keywords})
    except EOFError:
        raise _damaged(f"it is cut off, or longer than {MAX_HEADER} bytes") from None
    except ValueError as error:
        raise _damaged(f"it has {error}") from None


def is_uid(text: str) -> bool:
    """Return whether ``text`` is a UID, the only text of an object that an answer repeats."""
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None


def _read(body: bytes, tags: set[int]) -> Elements:
    steps = allowance()
    syntax, at = _transfer_syntax(body, steps)
    data = body
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, at = _inflate(body[at:]), 0
    header = memoryview(data)[: at + MAX_HEADER]
    values: dict[int, bytes | None] = {}
    implicit, little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    for element in elements(header, at, implicit=implicit, little_endian=little_endian, steps=steps):
        if element.tag == PIXEL_DATA:
            vr = data[element.at + 4 : element.at + 6]  # in Implicit VR, half of the length
            return Elements(syntax, values, data[element.start :], element.length, vr)
        if element.tag in PIXEL_DATA_TAGS:
            break
        if element.tag in tags:
            values[element.tag] = _value(data, element)
    return Elements(syntax, values, None, 0)


def _value(data: bytes, element: Element) -> bytes | None:
    """Return the element's value, None if it is too long or of undefined length."""
    kept = element.length <= MOST_VALUE_BYTES
    return data[element.start : element.start + element.length] if kept else None


def _transfer_syntax(body: bytes, steps: Iterator[int]) -> tuple[uid.UID, int]:
    """Return the transfer syntax in the file meta information, and where the data set begins."""
    text, at = "", len(body)
    header = memoryview(body)[:MAX_HEADER]
    for element in elements(header, PREAMBLE + len(PREFIX), implicit=False, little_endian=True, steps=steps):
        if element.tag >> 16 != META_GROUP:
            at = element.at
            break
        if element.tag == TRANSFER_SYNTAX_UID:
            text = _text(_value(body, element))
    if text not in TRANSFER_SYNTAXES:
        named = text if is_uid(text) else "no UID"
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The file meta information names {named} as TransferSyntaxUID, which is not known.",
        )
    return uid.UID(text), at


def _damaged(what: str) -> InstanceError:
    return InstanceError(InstanceCode.DAMAGED_HEADER, f"The header cannot be read as DICOM: {what}; export it again.")


def _inflate(deflated: bytes) -> bytes:
    if len(deflated) > MAX_DEFLATED:
        raise InstanceError(
            InstanceCode.TOO_MANY_PIXELS, f"The deflated data set is larger than {MAX_DEFLATED} bytes as it is."
        )
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, MAX_INFLATED)
    except zlib.error:
        raise _damaged("it cannot be inflated") from None
    if inflater.unconsumed_tail:
        raise InstanceError(
            InstanceCode.TOO_MANY_PIXELS, f"The deflated data set is larger than {MAX_INFLATED} bytes when inflated."
        )
    return inflated


def _text(raw: bytes | None) -> str:
    return NO_VALUE if raw is None else raw.decode("ascii", "replace").strip(" \0")
