"""Finds the few data elements that a prediction needs in the bytes of a DICOM file, converting nothing else.

Everything else in the header is stepped over unread, so a strange value elsewhere can neither warn nor fail, and no
patient's name is ever decoded. DICOM PS3.10 section 7 gives the file format.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from model_code.errors import InstanceCode, InstanceError

PREAMBLE = 128
PREFIX = b"DICM"
TRANSFER_SYNTAX_UID = Tag("TransferSyntaxUID")
PIXEL_DATA = Tag("PixelData")
PIXEL_DATA_TAGS = frozenset({Tag("FloatPixelData"), Tag("DoubleFloatPixelData"), PIXEL_DATA})
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
        return _read(body, [Tag(keyword) for keyword in keywords])
    except InstanceError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # the parser raises anything on damaged bytes, and those may come from anyone
        raise InstanceError(
            InstanceCode.DAMAGED_HEADER,
            f"The header cannot be read as DICOM ({type(error).__name__}); export it again.",
        ) from None


def _read(body: bytes, tags: list[BaseTag]) -> Elements:
    stream = BytesIO(body)
    stream.seek(PREAMBLE + len(PREFIX))
    syntax = _transfer_syntax(stream)
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = BytesIO(_inflate(stream.read()))
    implicit = syntax.is_implicit_VR
    found: list[tuple[BaseTag, int, bool]] = []

    def at_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag not in PIXEL_DATA_TAGS:
            return False
        found.append((tag, length, not implicit and vr in EXPLICIT_VR_LENGTH_32))
        return True

    elements = data_element_generator(
        stream, implicit, syntax.is_little_endian, stop_when=at_pixel_data, specific_tags=list(tags)
    )
    values = {int(element.tag): element.value or b"" for element in elements if isinstance(element, RawDataElement)}
    if not found or found[0][0] != PIXEL_DATA:
        return Elements(syntax, values, None, 0)
    _, length, long_header = found[0]
    stream.seek(12 if long_header else 8, 1)
    return Elements(syntax, values, stream.read(), length)


def _transfer_syntax(stream: BytesIO) -> uid.UID:
    """Read the file meta information and leave ``stream`` at the data set."""

    def after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return tag.group != 2

    meta = data_element_generator(stream, False, True, stop_when=after_meta)
    values = [element.value for element in meta if element.tag == TRANSFER_SYNTAX_UID]
    syntax = uid.UID(_text(values[0] or b"") if values else "")
    if not syntax.is_transfer_syntax:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The file meta information names {syntax or 'nothing'!r} as TransferSyntaxUID, which is not known.",
        )
    return syntax


def _inflate(deflated: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, MAX_INFLATED)
    if inflater.unconsumed_tail:
        raise InstanceError(
            InstanceCode.TOO_MANY_PIXELS, f"The deflated data set is larger than {MAX_INFLATED} bytes when inflated."
        )
    return inflated


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")
