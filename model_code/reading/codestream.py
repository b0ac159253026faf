"""Reads the frame size that a JPEG, JPEG-LS or JPEG 2000 codestream declares, before a decoder is trusted with it.

A decoder allocates what the codestream declares, not what the DICOM header says: a small hostile object could ask for
gigabytes. Truncated streams and missing tiles are found here too, because decoders fill what is missing with grey and
say nothing.
"""

from __future__ import annotations

import struct

from model_code.reading import tiles

SOC_SIZ = b"\xff\x4f\xff\x51"
SOI = b"\xff\xd8"
# EOI of JPEG and JPEG-LS and EOC of JPEG 2000 are the same two bytes.
END_MARKER = b"\xff\xd9"
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), and SOF55 of JPEG-LS.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
START_OF_SCAN = 0xDA
JPEG2000_DEPTH_AT = 42  # of the first component, in the SIZ segment
FILL = 0xFF
# Before the frame header, each fill byte counted as one: encoders write a few dozen, and each takes a step of Python.
MOST_MARKERS = 10_000


def frame_size(codestream: bytes) -> tuple[int, int, int]:
    """Return the (rows, columns, components) that the codestream declares.

    Raises ValueError for bytes that are no such codestream, end within a header, or lack its end marker or a tile.
    """
    is_jpeg2000 = codestream.startswith(SOC_SIZ)
    try:
        size = _jpeg2000_size(codestream) if is_jpeg2000 else _jpeg_size(codestream)
        if not codestream.rstrip(b"\0").endswith(END_MARKER):
            raise ValueError("the codestream ends without its end marker: it is truncated")
        if is_jpeg2000:
            tiles.check(codestream)
    except (struct.error, IndexError):
        raise ValueError("the codestream ends within a header") from None
    return size


def pixel_form(codestream: bytes) -> tuple[int, bool]:
    """Return how many bits a pixel has by a codestream whose ``frame_size`` could be read, and whether it is signed.

    JPEG and JPEG-LS do not say the latter: False.
    """
    if codestream.startswith(SOC_SIZ):
        depth = codestream[JPEG2000_DEPTH_AT]  # the highest bit is the sign (ISO/IEC 15444-1 table A.11)
        return (depth & 0x7F) + 1, depth > 0x7F
    return codestream[_frame_header(codestream) + 4], False


def _jpeg2000_size(codestream: bytes) -> tuple[int, int, int]:
    """Xsiz - XOsiz by Ysiz - YOsiz of the SIZ segment (ISO/IEC 15444-1 A.5.1)."""
    x_end, y_end, x_offset, y_offset = struct.unpack_from(">4I", codestream, 8)
    (components,) = struct.unpack_from(">H", codestream, 40)
    return y_end - y_offset, x_end - x_offset, components


def _jpeg_size(codestream: bytes) -> tuple[int, int, int]:
    """Lines and samples per line of the frame header (ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2)."""
    rows, columns, components = struct.unpack_from(">HHB", codestream, _frame_header(codestream) + 5)
    return rows, columns, components


def _frame_header(codestream: bytes) -> int:
    """Where the marker of a JPEG's frame header is."""
    if not codestream.startswith(SOI):
        raise ValueError("the bytes begin as neither JPEG nor JPEG 2000")
    at = len(SOI)
    for _ in range(MOST_MARKERS):
        if codestream[at] != FILL:
            raise ValueError("a marker is missing in the codestream's header")
        marker = codestream[at + 1]
        if marker == FILL:
            at += 1
            continue
        if marker in START_OF_FRAME:
            return at
        if marker == START_OF_SCAN:
            raise ValueError("the codestream has no frame header")
        (length,) = struct.unpack_from(">H", codestream, at + 2)
        at += 2 + length
    raise ValueError(f"the codestream has more than {MOST_MARKERS} markers before its frame header")
