"""Reads the main header, the tile-parts and the JP2 boxes of JPEG 2000 (ISO/IEC 15444-1 annexes A and I).

The caller turns struct.error and IndexError, for a cut within a header, into words.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping

from model_code.reading.undecodable import Undecodable

SOC_SIZ = b"\xff\x4f\xff\x51"
# JPEG 2000 with more tiles, parts or segments than an encoder has a use for is refused: their number decides the cost,
# here and in the decoder.
START_OF_TILE_PART = 0xFF90
END_OF_CODESTREAM = 0xFFD9
END_MARKER = END_OF_CODESTREAM.to_bytes(2, "big")
START_OF_DATA = 0xFF93
CODING_STYLE = 0xFF52
TRANSFORMATION_AT, REVERSIBLE = 13, 1  # in the COD segment, after its marker: 5/3 is reversible, 9/7 is not
SIZ_AT = 2
OFFSETS_AT = 16  # of the image, in the SIZ segment
DEPTH_AT = 42  # of the first component, in the SIZ segment
TILE_PART_HEADER = 12  # SOT with its segment
# With tiles of 128 x 128 these are 4096 x 4096 pixels. The standard allows 65,535, and a decoder keeps tables for each.
MOST_TILES = 1024
MOST_PARTS = 255  # of a tile: its parts are numbered by a byte (A.4.2)
MOST_SEGMENTS = 1024  # of the main header; encoders write some ten
LENGTH_FIELD = 2  # counts itself
JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM_BOX = b"jp2c"
BOX_HEADER, LONG_BOX_HEADER = 8, 16
TO_THE_END, LONG = 0, 1  # instead of a box's length (I.4)
MOST_BOXES = 1024  # encoders write some five


def unboxed(data: bytes) -> tuple[list[bytes], int]:
    """Return the codestreams in the boxes of a JP2 file, and where its last box ends.

    Raises Undecodable without a codestream, or for too many boxes.
    """
    found, at = [], 0
    for _ in range(MOST_BOXES):
        if at + BOX_HEADER > len(data):
            break
        length, header = int.from_bytes(data[at : at + 4], "big"), BOX_HEADER
        kind = data[at + 4 : at + BOX_HEADER]
        if length == LONG:
            (length,) = struct.unpack_from(">Q", data, at + BOX_HEADER)
            header = LONG_BOX_HEADER
        end = len(data) if length == TO_THE_END else at + length
        is_wanted = kind == CODESTREAM_BOX
        if end < at + header or (end > len(data) and not is_wanted):
            break  # no box, but what follows the last one
        if is_wanted:
            found.append(data[at + header : end])
        at = end
    else:
        raise Undecodable(f"its JP2 file has more than {MOST_BOXES} boxes")
    if not found or not found[0].startswith(SOC_SIZ):
        raise Undecodable("its JP2 file has no codestream")
    return found, at


def declared_size(data: bytes) -> tuple[int, int, int]:
    """Return Ysiz - YOsiz, Xsiz - XOsiz and Csiz of the SIZ segment (A.5.1): rows, columns, components."""
    x_end, y_end, x_offset, y_offset = struct.unpack_from(">4I", data, 8)
    (components,) = struct.unpack_from(">H", data, 40)
    return y_end - y_offset, x_end - x_offset, components


def has_offset(data: bytes) -> bool:
    """Return whether the image begins elsewhere than in the corner of the reference grid: XOsiz or YOsiz (A.5.1)."""
    return struct.unpack_from(">2I", data, OFFSETS_AT) != (0, 0)


def declared_depth(data: bytes) -> tuple[int, bool]:
    """Return the bits of a pixel and whether they are signed, which the highest bit says (table A.11)."""
    depth = data[DEPTH_AT]
    return (depth & 0x7F) + 1, depth > 0x7F


def is_reversible(data: bytes) -> bool:
    """Return whether the main header names the reversible transformation."""
    _, coding_style = _main_header(data)
    return coding_style is not None and data[coding_style + TRANSFORMATION_AT] == REVERSIBLE


def end_of_tiles(data: bytes) -> int | None:
    """Return where the end marker behind the tile-parts ends, None if it is missing.

    Raises Undecodable if a tile or a declared part of one is missing: decoders silently fill it with grey. Only the
    header of each tile-part is read (A.4.2); its length leads to the next.
    """
    tiles = _declared_tiles(data)
    parts, promised = Counter[int](), dict[int, int]()
    at, _ = _main_header(data)
    while True:
        if at + len(END_MARKER) > len(data):
            return None
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == END_OF_CODESTREAM:
            break
        if marker != START_OF_TILE_PART:
            _check_tiles(tiles, parts, promised, "a tile-part of its codestream does not follow the one before it")
            return None
        tile, length, _, count = struct.unpack_from(">HIBB", data, at + 4)
        parts[tile] += 1
        if parts[tile] > MOST_PARTS or len(parts) > MOST_TILES:
            raise Undecodable("its codestream has more tile-parts than its tiles can have")
        promised[tile] = count or promised.get(tile, 0)
        if length == 0:  # up to the end marker, which no data before it can contain (B.10.1, D.4.1)
            at = data.find(END_MARKER, _tile_data(data, at + TILE_PART_HEADER))
            if at < 0:
                return None
            break
        if length < TILE_PART_HEADER:
            raise Undecodable(f"a tile-part of its codestream has a length of {length} bytes")
        at += length
    _check_tiles(tiles, parts, promised)
    return at + len(END_MARKER)


def _check_tiles(tiles: int, parts: Counter[int], promised: Mapping[int, int], why: str = "") -> None:
    """Raise Undecodable, with the reason ``why`` if there is one, unless all parts of all tiles are present."""
    present = sum(tile < tiles and parts[tile] >= promised[tile] for tile in parts)
    if present < tiles:
        raise Undecodable(why or f"its codestream has {present} of its {tiles} tiles")


def _tile_data(data: bytes, at: int) -> int:
    """Return where the data of a tile-part begin, from ``at`` behind its SOT segment."""
    for _ in range(MOST_SEGMENTS):
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == START_OF_DATA:
            return at + 2
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
    raise Undecodable(f"a tile-part of its codestream has more than {MOST_SEGMENTS} segments")


def _declared_tiles(data: bytes) -> int:
    """Return how many tiles the SIZ segment declares (A.5.1)."""
    x_end, y_end = struct.unpack_from(">2I", data, SIZ_AT + 6)
    width, height, x_offset, y_offset = struct.unpack_from(">4I", data, SIZ_AT + 22)
    if not (width and height):
        raise Undecodable("its codestream declares tiles without a size")
    tiles: int = math.ceil((x_end - x_offset) / width) * math.ceil((y_end - y_offset) / height)
    if not 1 <= tiles <= MOST_TILES:
        raise Undecodable(f"its codestream declares {tiles} tiles, where 1 to {MOST_TILES} are read")
    return tiles


def _main_header(data: bytes) -> tuple[int, int | None]:
    """Return where the main header ends, following the lengths of its segments, and where its COD marker is."""
    at, coding_style = SIZ_AT, None
    for _ in range(MOST_SEGMENTS):
        marker, length = struct.unpack_from(">2H", data, at)
        if marker in {START_OF_TILE_PART, END_OF_CODESTREAM}:
            return at, coding_style
        if length < LENGTH_FIELD:
            raise Undecodable(f"a segment of its codestream's main header has a length of {length} bytes")
        coding_style = at if marker == CODING_STYLE else coding_style
        at += 2 + length
    raise Undecodable(f"its codestream's main header has more than {MOST_SEGMENTS} segments")
