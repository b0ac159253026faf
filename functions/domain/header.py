"""Reads the header of a DICOM object from the first bytes of its file, as far as the pixel data, converting nothing.

Values stay the raw bytes of the file until one of the few attributes that the service needs is asked for, so that a
strange value in any other attribute can neither warn nor fail, and no patient's name is ever decoded.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode

PREAMBLE = 128
PIXEL_GROUP = 0x7FE0
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# An inflated header is never longer than this: a deflate bomb ends as a refusal, not as a full memory.
MAX_INFLATED = 16 * 1024 * 1024
# What pydicom's reader and struct raise on damaged bytes; anything else would be a fault of ours.
DAMAGE = (
    EOFError,
    struct.error,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OSError,
    RecursionError,
)
UNDEFINED_LENGTH = 0xFFFFFFFF


class Header:
    """The data elements before the pixel data, by keyword, as text or whole numbers."""

    def __init__(self, meta: Dataset, dataset: Dataset, *, little_endian: bool) -> None:
        self._meta = meta
        self._dataset = dataset
        self._little_endian = little_endian

    def meta_text(self, keyword: str) -> str:
        """A file meta information value as text, "" when absent or empty."""
        return _text(self._meta, keyword)

    def text(self, keyword: str) -> str:
        """A value as text without padding, "" when absent or empty; several values keep their backslashes."""
        return _text(self._dataset, keyword)

    def number(self, keyword: str) -> int | None:
        """A US value as a whole number, None when absent or not two bytes."""
        raw = _raw(self._dataset, keyword)
        return int.from_bytes(raw, "little" if self._little_endian else "big") if len(raw) == 2 else None


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
    except DAMAGE as error:
        if not whole:
            raise HeaderIncomplete from error
        if isinstance(error, (EOFError, struct.error)):
            raise _truncated() from error
        raise Refusal(
            RefusalCode.UNREADABLE_HEADER,
            f"The header is damaged and cannot be read as DICOM ({type(error).__name__}); export the object again.",
        ) from error


def _read(prefix: bytes, whole: bool) -> Header:
    stream = BytesIO(prefix)
    stream.seek(PREAMBLE + 4)
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta)
    syntax = _text(meta, "TransferSyntaxUID")
    if not syntax:
        if not whole:
            raise HeaderIncomplete
        raise Refusal(
            RefusalCode.TRANSFER_SYNTAX_NOT_SERVED,
            "The file meta information names no TransferSyntaxUID, so the bytes cannot be understood.",
        )
    inflated_whole = whole
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream, inflated_whole = _inflate(stream.read(), whole)
    little_endian = syntax != uid.ExplicitVRBigEndian
    seen: list[BaseTag] = []

    def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        if tag.group >= PIXEL_GROUP:
            seen.append(tag)
            return True
        return False

    dataset = read_dataset(stream, syntax == uid.ImplicitVRLittleEndian, little_endian, stop_when=at_pixels)
    if seen and seen[0] in PIXEL_TAGS:
        return Header(meta, dataset, little_endian=little_endian)
    if not seen and not inflated_whole:
        raise HeaderIncomplete
    if not seen and _last_is_short(dataset):
        raise _truncated()
    raise Refusal(RefusalCode.NO_PIXEL_DATA, "The object has no pixel data, so there is nothing to read.")


def _inflate(data: bytes, whole: bool) -> tuple[BytesIO, bool]:
    """The inflated start of a deflated data set, and whether that is all of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise Refusal(
            RefusalCode.UNREADABLE_HEADER, "The deflated data set cannot be inflated; export the object again."
        ) from error
    return BytesIO(inflated), whole


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


def _last_is_short(dataset: Dataset) -> bool:
    """Whether the last element's value ends before its declared length: a cut, not an end."""
    tags = sorted(dataset.keys())
    last = dataset.get_item(tags[-1]) if tags else None
    return isinstance(last, RawDataElement) and last.length != UNDEFINED_LENGTH and len(last.value or b"") < last.length


def _truncated() -> Refusal:
    return Refusal(RefusalCode.TRUNCATED_HEADER, "The object ends in the middle of its header; send the whole file.")


def _raw(dataset: Dataset, keyword: str) -> bytes:
    element = dataset.get_item(Tag(keyword)) if Tag(keyword) in dataset else None
    return (element.value or b"") if isinstance(element, RawDataElement) else b""


def _text(dataset: Dataset, keyword: str) -> str:
    # Latin-1 keeps different bytes different, whatever the object's character set: two names never become one text.
    return _raw(dataset, keyword).decode("latin-1").strip(" \0")
