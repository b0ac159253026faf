"""The data elements that a prediction needs, out of the bytes of a DICOM file, by the reader that ingest uses too.

The rest of the header is skipped unread, so a strange value there can neither warn nor fail, and no patient's name is
ever decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from pydicom import uid
from pydicom.tag import Tag

from model_code.errors import InstanceCode, InstanceError
from untrusted.encoding import DEFLATED, Bounds
from untrusted.header import NO_VALUE, Header, HeaderCode, HeaderError, read_header

__all__ = ["NO_VALUE", "Elements", "is_uid", "read_elements"]

TRANSFER_SYNTAXES = frozenset(map(str, uid.AllTransferSyntaxes))
# A deflated data set may not inflate beyond this: a deflate bomb ends as an error document, not in a full memory.
MAX_INFLATED = 64 * 1024 * 1024
# Nor may it be longer: 4096 x 4096 pixels that deflate cannot shorten take 32 MiB, and bytes that inflate to nothing
# take 0.08 s for each MiB.
MAX_DEFLATED = 36 * 1024 * 1024
UID_PATTERN = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # DICOM PS3.5 section 9.1
UID_LENGTH = 64


class Elements:
    """The wanted attributes, and ``pixel_data``: the value of PixelData up to the end of the file.

    ``pixel_data`` is None without one; ``no_pixel_data`` then says why.
    """

    def __init__(self, header: Header, no_pixel_data: str = "") -> None:
        self.header = header
        self.no_pixel_data = no_pixel_data
        self.transfer_syntax = uid.UID(header.transfer_syntax)
        pixels = header.pixels
        self.pixel_data: bytes | None = header.data[pixels.start :] if pixels else None
        self.pixel_data_length = pixels.length if pixels else 0
        self.pixel_data_vr = pixels.vr if pixels else b""

    def text(self, keyword: str) -> str:
        """Return the value as text without padding, "" if absent or empty, NO_VALUE if too long."""
        return self.header.text(keyword)

    def uid(self, keyword: str) -> str:
        """Return an identifier, without padding of any kind; it may be anything."""
        return self.header.uid(keyword)

    def code(self, keyword: str) -> str:
        """Return the value of a Code String (CS), in capitals."""
        return self.header.code(keyword)

    def number(self, keyword: str) -> int | None:
        """Return the whole number of an attribute, None if absent or not one."""
        return self.header.number(keyword)


def read_elements(body: bytes, keywords: Iterable[str]) -> Elements:
    """Return the attributes named by ``keywords``, which must be in the data set itself, and the pixel data.

    Raises InstanceError: NotDicom, TruncatedHeader, UnreadableHeader, HeaderTooLong, UnsupportedTransferSyntax,
    TooManyPixels.
    """
    wanted = {keyword: _tag(keyword) for keyword in keywords}
    bounds = Bounds(deflated=MAX_DEFLATED, inflated=MAX_INFLATED)
    reason = ""
    try:
        header = read_header(body, len(body), wanted, bounds, behind=True)
    except HeaderError as error:
        if error.code != HeaderCode.NO_PIXEL_DATA or error.header is None:
            raise _problem(error, len(body)) from None
        header, reason = error.header, error.reason
    _check(header, len(body))
    return Elements(header, reason)


def _problem(error: HeaderError, length: int) -> InstanceError:
    """Return the container's error for one of the reader."""
    if error.header:
        _check_size(error.header, length)
    if error.code == HeaderCode.NO_SYNTAX:
        return InstanceError(InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX, error.reason)
    return InstanceError(InstanceCode(error.code), error.reason)


def _check(header: Header, length: int) -> None:
    if header.transfer_syntax not in TRANSFER_SYNTAXES:
        named = header.transfer_syntax if is_uid(header.transfer_syntax) else "no UID"
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The file meta information names {named} as TransferSyntaxUID, which is not known.",
        )
    _check_size(header, length)


def _check_size(header: Header, length: int) -> None:
    """Refuse a deflated data set that was not inflated whole."""
    if header.transfer_syntax == DEFLATED and (length > MAX_DEFLATED or len(header.data) >= MAX_INFLATED):
        raise InstanceError(
            InstanceCode.TOO_MANY_PIXELS,
            f"The deflated data set is larger than {MAX_DEFLATED} bytes, or than {MAX_INFLATED} when inflated.",
        )


@cache
def _tag(keyword: str) -> int:
    return int(Tag(keyword))


def is_uid(text: str) -> bool:
    """Return whether ``text`` is a UID, the only text of an object that an answer repeats."""
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None
