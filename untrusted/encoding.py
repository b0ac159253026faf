"""Say how a data set is encoded, by its first bytes, and inflate a deflated one within bounds."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from untrusted.walker import KNOWN_VRS, MOST_VALUE_BYTES

IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED = (f"1.2.840.10008.1.2{part}" for part in ("", ".1", ".2", ".1.99"))
IDENTIFYING_GROUP = 0x0008
FIRST_GROUP = 0x00FF  # no data set begins with a greater one
INFLATED_AT_ONCE = 4096  # so that the bytes before a damage are kept


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much of a deflated data set is inflated, in bytes: as it is, and as it becomes."""

    deflated: int
    inflated: int


def encoding_of(data: bytes, at: int) -> str:
    """Return EXPLICIT, BIG_ENDIAN or IMPLICIT if the first element of the data set can be nothing else, or ""."""
    tag, vr = data[at : at + 4], data[at + 4 : at + 6]
    if len(tag) < 4:
        return ""
    little, big = (int.from_bytes(tag[:2], order) for order in ("little", "big"))
    if vr in KNOWN_VRS:
        return EXPLICIT if little <= FIRST_GROUP < big else BIG_ENDIAN if big <= FIRST_GROUP < little else ""
    # No deflated data begins with this group: its first two bytes would begin a block without a length.
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    return IMPLICIT if little == IDENTIFYING_GROUP and length <= MOST_VALUE_BYTES else ""


def is_deflated(data: bytes, at: int) -> bool:
    """Return whether the bytes begin no data set, and inflate to one."""
    if min(int.from_bytes(data[at : at + 2], order) for order in ("little", "big")) <= FIRST_GROUP:
        return False
    start, damaged = inflate(data[at : at + INFLATED_AT_ONCE], Bounds(deflated=0, inflated=INFLATED_AT_ONCE))
    return not damaged and encoding_of(start, 0) == EXPLICIT


def inflate(deflated: bytes, bounds: Bounds) -> tuple[bytes, bool]:
    """Return the inflated start of a deflated data set, up to any damage, and whether it is damaged."""
    # The standard has no header of zlib's before the data; some writers have.
    windows = [-zlib.MAX_WBITS, zlib.MAX_WBITS] if deflated[:1] == b"\x78" else [-zlib.MAX_WBITS]
    for window in windows:
        inflater, inflated = zlib.decompressobj(window), bytearray()
        try:
            for start in range(0, len(deflated), INFLATED_AT_ONCE):
                piece = deflated[start : start + INFLATED_AT_ONCE]
                inflated += inflater.decompress(piece, bounds.inflated - len(inflated))
                if inflater.eof or len(inflated) >= bounds.inflated:
                    break
        except zlib.error:
            continue
        return bytes(inflated), False
    return bytes(inflated), True
