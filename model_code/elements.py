"""Finds the few data elements that a prediction needs in the bytes of a DICOM file, converting nothing else.

Everything else in the header is stepped over unread, so a strange value elsewhere can neither warn nor fail, and no
patient's name is ever decoded. DICOM PS3.10 section 7 gives the file format.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import uid
from pydicom.tag import Tag

from model_code.errors import InstanceCode, InstanceError
from model_code.walker import UNDEFINED_LENGTH, elements

PREAMBLE = 128
PREFIX = b"DICM"
META_GROUP = 0x0002
TRANSFER_SYNTAX_UID = int(Tag("TransferSyntaxUID"))
TRANSFER_SYNTAXES = frozenset(map(str, uid.AllTransferSyntaxes))
PIXEL_DATA = int(Tag("PixelData"))
PIXEL_DATA_TAGS = frozenset({int(Tag("FloatPixelData")), int(Tag("DoubleFloatPixelData")), PIXEL_DATA})
# Ingest admits no longer ones; without a bound a body of nothing but elements would hold up those behind it.
MAX_HEADER = 16 * 1024 * 1024
# A deflated data set may not inflate beyond this: a deflate bomb ends as an error document, not as a full memory.
MAX_INFLATED = 64 * 1024 * 1024


@dataclass(frozen=True)
class Elements:
    """Raw values by tag, and ``pixel_data``: the value of PixelData up to the end of the file, None without one."""

    transfer_syntax: uid.UID
    values: dict[int, bytes]
    pixel_data: bytes | None
    pixel_data_length: int

    def text(self, keyword: str) -> str:
        """The value as text without padding, "" when absent or empty."""
        return _text(self.values.get(Tag(keyword), b""))

    def number(self, keyword: str) -> int | None:
        """The value of a US attribute, None when absent or not two bytes."""
        raw = self.values.get(Tag(keyword), b"")
        order = "little" if self.transfer_syntax.is_little_endian else "big"
        return int.from_bytes(raw, order) if len(raw) == 2 else None  # type: ignore[arg-type]


def read_elements(body: bytes, keywords: Iterable[str]) -> Elements:
    """Read the attributes named by ``keywords``, which must lie in the data set itself, and find the pixel data.

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


def _read(body: bytes, tags: set[int]) -> Elements:
    syntax, at = _transfer_syntax(body)
    data = body
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, at = _inflate(body[at:]), 0
    header = memoryview(data)[: at + MAX_HEADER]
    values: dict[int, bytes] = {}
    for element in elements(header, at, implicit=syntax.is_implicit_VR, little_endian=syntax.is_little_endian):
        if element.tag == PIXEL_DATA:
            return Elements(syntax, values, data[element.start :], element.length)
        if element.tag in PIXEL_DATA_TAGS:
            break
        if element.tag in tags:
            length = 0 if element.length == UNDEFINED_LENGTH else element.length
            values[element.tag] = data[element.start : element.start + length]
    return Elements(syntax, values, None, 0)


def _transfer_syntax(body: bytes) -> tuple[uid.UID, int]:
    """What the file meta information says, and where the data set begins."""
    text, at = "", len(body)
    for element in elements(memoryview(body)[:MAX_HEADER], PREAMBLE + len(PREFIX), implicit=False, little_endian=True):
        if element.tag >> 16 != META_GROUP:
            at = element.at
            break
        if element.tag == TRANSFER_SYNTAX_UID:
            text = _text(body[element.start : element.start + element.length])
    if text not in TRANSFER_SYNTAXES:
        named = text if re.fullmatch(r"[0-9.]{1,64}", text) else "no UID"
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The file meta information names {named} as TransferSyntaxUID, which is not known.",
        )
    return uid.UID(text), at


def _damaged(what: str) -> InstanceError:
    return InstanceError(InstanceCode.DAMAGED_HEADER, f"The header cannot be read as DICOM: {what}; export it again.")


def _inflate(deflated: bytes) -> bytes:
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


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")
