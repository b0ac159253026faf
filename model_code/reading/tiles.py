"""Looks whether a JPEG 2000 codestream has all of its tiles: decoders fill a missing one with grey and say nothing.

Of each tile-part only the header is read (ISO/IEC 15444-1 A.4.2), whose length leads to the next. More tiles, parts or
segments than an encoder has a use for are refused: what they cost, here and in the decoder, is in their number.
"""

from __future__ import annotations

import math
import struct
from collections import Counter

START_OF_TILE_PART = 0xFF90
END_OF_CODESTREAM = 0xFFD9
SIZ_AT = 2
TILE_PART_HEADER = 12  # SOT with its segment
# As many of 128 x 128 are 4096 x 4096 pixels. The standard allows 65,535, and a decoder keeps tables for each.
MOST_TILES = 1024
MOST_PARTS = 255  # of a tile: its parts are numbered by a byte (A.4.2)
MOST_SEGMENTS = 1024  # of the main header; encoders write some ten
LENGTH_FIELD = 2  # counts itself


def check(codestream: bytes) -> None:
    """Raise ValueError when a tile, or one of its declared parts, is not there; struct.error within a header."""
    tiles = _declared(codestream)
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


def _declared(codestream: bytes) -> int:
    """How many tiles the SIZ segment declares (A.5.1)."""
    x_end, y_end = struct.unpack_from(">2I", codestream, SIZ_AT + 6)
    width, height, x_offset, y_offset = struct.unpack_from(">4I", codestream, SIZ_AT + 22)
    if not (width and height):
        raise ValueError("the codestream declares tiles without a size")
    tiles: int = math.ceil((x_end - x_offset) / width) * math.ceil((y_end - y_offset) / height)
    if not 1 <= tiles <= MOST_TILES:
        raise ValueError(f"the codestream declares {tiles} tiles, where 1 to {MOST_TILES} are read")
    return tiles


def _first_tile_part(codestream: bytes) -> int:
    """Where the main header ends: all of its segments have a length."""
    at = SIZ_AT
    for _ in range(MOST_SEGMENTS):
        marker, length = struct.unpack_from(">2H", codestream, at)
        if marker in {START_OF_TILE_PART, END_OF_CODESTREAM}:
            return at
        if length < LENGTH_FIELD:
            raise ValueError(f"a segment of the codestream's main header has a length of {length} bytes")
        at += 2 + length
    raise ValueError(f"the codestream's main header has more than {MOST_SEGMENTS} segments")
