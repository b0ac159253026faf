"""Reads the header of an uploaded object from the first bytes of its file, and refuses what is not readable DICOM.

`untrusted.header` is the reader, the same as the container's. Here it gets bytes piece by piece from S3, and its
errors become refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from untrusted import header as untrusted
from untrusted.attributes import IDENTITY, PICTURE, PLACE
from untrusted.encoding import Bounds
from untrusted.header import Header, HeaderError

FIRST_READ = 64 * 1024  # holds the whole header of an ordinary object
LONGEST_READ = 8 * 1024 * 1024
# A deflate bomb ends as a refusal, not as a full memory. Bytes that inflate to nothing take 0.1 s for each MiB.
BOUNDS = Bounds(deflated=1024 * 1024, inflated=8 * 1024 * 1024)
WANTED = IDENTITY | PICTURE | PLACE


def read_header(prefix: bytes, object_bytes: int, wanted: Mapping[str, int] = WANTED) -> Header:
    """Return the header in ``prefix``, the first bytes of an object of ``object_bytes`` bytes.

    ``wanted`` has the tags by keyword.

    Raises HeaderIncomplete if the header continues after the prefix, Refusal if the object is not DICOM or has no pixel
    data; both have the part of the header that was read.
    """
    try:
        return untrusted.read_header(prefix, object_bytes, wanted, BOUNDS)
    except untrusted.Incomplete as error:
        incomplete = HeaderIncomplete()
        incomplete.header = error.header
        raise incomplete from error
    except HeaderError as error:
        raise _refusal(RefusalCode(error.code), error.reason, error.header) from error


def header_of(head: Callable[[int], bytes], object_bytes: int, wanted: Mapping[str, int] = WANTED) -> Header:
    """Return the header of an object of ``object_bytes`` bytes; ``head(n)`` returns its first n bytes.

    A header that is longer than FIRST_READ is read once more, up to LONGEST_READ. Each reading starts from the
    beginning, so more readings would multiply the cost of a hostile header. Raises Refusal if the object is not
    readable DICOM, and whatever ``head`` raises.
    """
    with suppress(HeaderIncomplete):
        return read_header(head(FIRST_READ), object_bytes, wanted)
    try:
        return read_header(head(LONGEST_READ), object_bytes, wanted)
    except HeaderIncomplete as error:
        if error.header and error.header.has_passed_pixels:
            no_pixels = error.header.no_pixel_data()
            raise _refusal(RefusalCode(no_pixels.code), no_pixels.reason, error.header) from None
        reason = f"The header is longer than {LONGEST_READ} bytes; remove embedded documents from it."
        raise _refusal(RefusalCode.HEADER_TOO_LONG, reason, error.header) from None


def start_of(head: Callable[[int], bytes], object_bytes: int) -> Header | None:
    """Return the header in the first FIRST_READ bytes of an object, as far as it goes; None if S3 refuses them."""
    try:
        return read_header(head(FIRST_READ), object_bytes)
    except (Refusal, HeaderIncomplete) as error:
        return error.header


def _refusal(code: RefusalCode, reason: str, header: Header | None) -> Refusal:
    refusal = Refusal(code, reason)
    refusal.header = header
    return refusal
