"""Reads the frame size that a JPEG, JPEG-LS or JPEG 2000 codestream declares, before a decoder gets it.

A decoder allocates what the codestream declares, not what the DICOM header says: a small hostile object could ask for
gigabytes. Truncated streams and missing tiles are found here too, because decoders silently fill them with grey.
"""

from __future__ import annotations

import math
import struct
from collections import Counter

SOC_SIZ = b"\xff\x4f\xff\x51"
SOI = b"\xff\xd8"
# EOI of JPEG and JPEG-LS and EOC of JPEG 2000 are the same two bytes.
END_MARKER = b"\xff\xd9"
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), and SOF55 of JPEG-LS.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
START_OF_SCAN = 0xDA
JPEG2000_DEPTH_AT = 42  # of the first component, in the SIZ segment
FILL = 0xFF
# Before the frame header, where a fill byte counts as one: encoders write a few dozen, and each takes a Python step.
MOST_MARKERS = 10_000
# JPEG 2000 with more tiles, parts or segments than an encoder has a use for is refused: their number decides the cost,
# here and in the decoder.
START_OF_TILE_PART = 0xFF90
END_OF_CODESTREAM = 0xFFD9
SIZ_AT = 2
TILE_PART_HEADER = 12  # SOT with its segment
# With tiles of 128 x 128 these are 4096 x 4096 pixels. The standard allows 65,535, and a decoder keeps tables for each.
MOST_TILES = 1024
MOST_PARTS = 255  # of a tile: its parts are numbered by a byte (A.4.2)
MOST_SEGMENTS = 1024  # of the main header; encoders write some ten
LENGTH_FIELD = 2  # counts itself


def frame_size(codestream: bytes) -> tuple[int, int, int]:
    """Return the (rows, columns, components) that the codestream declares.

    Raises ValueError for any other bytes, and for a codestream cut within a header or without its end marker or a tile.
    """
    is_jpeg2000 = codestream.startswith(SOC_SIZ)
    try:
        size = _jpeg2000_size(codestream) if is_jpeg2000 else _jpeg_size(codestream)
        if not codestream.rstrip(b"\0").endswith(END_MARKER):
            raise ValueError("the codestream ends without its end marker: it is truncated")
        if is_jpeg2000:
            check_tiles(codestream)
    except (struct.error, IndexError):
        raise ValueError("the codestream ends within a header") from None
    return size


def declared_pixels(codestream: bytes) -> tuple[int, bool]:
    """Return the bits per pixel that the codestream declares, and whether they are signed.

    ``frame_size`` must have accepted it. JPEG and JPEG-LS do not declare a sign: False.
    """
    if codestream.startswith(SOC_SIZ):
        depth = codestream[JPEG2000_DEPTH_AT]  # the highest bit is the sign (ISO/IEC 15444-1 table A.11)
        return (depth & 0x7F) + 1, depth > 0x7F
    return codestream[_frame_header(codestream) + 4], False


def _jpeg2000_size(codestream: bytes) -> tuple[int, int, int]:
    """Return Ysiz - YOsiz, Xsiz - XOsiz and Csiz of the SIZ segment (ISO/IEC 15444-1 A.5.1)."""
    x_end, y_end, x_offset, y_offset = struct.unpack_from(">4I", codestream, 8)
    (components,) = struct.unpack_from(">H", codestream, 40)
    return y_end - y_offset, x_end - x_offset, components


def _jpeg_size(codestream: bytes) -> tuple[int, int, int]:
    """Return the frame header's size and components (ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2)."""
    rows, columns, components = struct.unpack_from(">HHB", codestream, _frame_header(codestream) + 5)
    return rows, columns, components


def _frame_header(codestream: bytes) -> int:
    """Return the position of the marker of a JPEG's frame header."""
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


def check_tiles(codestream: bytes) -> None:
    """Raise ValueError if a tile or a declared part of one is missing; struct.error for a cut within a header.

    Decoders silently fill a missing tile with grey. Only the header of each tile-part is read (ISO/IEC 15444-1 A.4.2);
    its length leads to the next.
    """
    tiles = _declared_tiles(codestream)
    parts, promised = Counter[int](), dict[int, int]()
    at = _first_tile_part(codestream)
    while True:
        (marker,) = struct.unpack_from(">H", codestream, at)
        if marker == END_OF_CODESTREAM:
            break
        if marker != START_OF_TILE_PART:
            raise ValueError("a tile-part of the codestream does not follow the one before it")
        tile, length, _, count = struct.unpack_from(">HIBB", codestream, at + 4)
        parts[tile] += 1
        if parts[tile] > MOST_PARTS or len(parts) > MOST_TILES:
            raise ValueError("the codestream has more tile-parts than its tiles can have")
        promised[tile] = count or promised.get(tile, 0)
        if length == 0:  # up to the end of the codestream
            break
        if length < TILE_PART_HEADER:
            raise ValueError(f"a tile-part of the codestream has a length of {length} bytes")
        at += length
    present = sum(tile < tiles and parts[tile] >= promised[tile] for tile in parts)
    if present < tiles:
        raise ValueError(f"the codestream has {present} of its {tiles} tiles")


def _declared_tiles(codestream: bytes) -> int:
    """Return how many tiles the SIZ segment declares (A.5.1)."""
    x_end, y_end = struct.unpack_from(">2I", codestream, SIZ_AT + 6)
    width, height, x_offset, y_offset = struct.unpack_from(">4I", codestream, SIZ_AT + 22)
    if not (width and height):
        raise ValueError("the codestream declares tiles without a size")
    tiles: int = math.ceil((x_end - x_offset) / width) * math.ceil((y_end - y_offset) / height)
    if not 1 <= tiles <= MOST_TILES:
        raise ValueError(f"the codestream declares {tiles} tiles, where 1 to {MOST_TILES} are read")
    return tiles


def _first_tile_part(codestream: bytes) -> int:
    """Return where the main header ends, following the lengths of its segments."""
    at = SIZ_AT
    for _ in range(MOST_SEGMENTS):
        marker, length = struct.unpack_from(">2H", codestream, at)
        if marker in {START_OF_TILE_PART, END_OF_CODESTREAM}:
            return at
        if length < LENGTH_FIELD:
            raise ValueError(f"a segment of the codestream's main header has a length of {length} bytes")
        at += 2 + length
    raise ValueError(f"the codestream's main header has more than {MOST_SEGMENTS} segments")
