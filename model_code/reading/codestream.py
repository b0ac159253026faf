"""Reads what a JPEG, JPEG-LS or JPEG 2000 codestream declares and where it ends, before a decoder gets it.

A decoder allocates what the codestream declares, not what the DICOM header says: a small hostile object could ask for
gigabytes. Truncated streams and missing tiles are found here too, because decoders silently fill them with grey. What
follows the end marker is padding, unless it is another codestream.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from model_code.reading import jpeg2000
from model_code.reading.undecodable import Undecodable

SOC_SIZ = jpeg2000.SOC_SIZ
SOI = b"\xff\xd8"
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), and SOF55 of JPEG-LS.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
BASELINE, EXTENDED, JPEG_LS_FRAME = 0xC0, 0xC1, 0xF7
LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, PRESETS = 0xD8, 0xD9, 0xDA, 0xF8
FILL = 0xFF
# Fill bytes count as markers: encoders write a few dozen, and each takes a Python step.
MOST_MARKERS = 10_000
# After FF in entropy-coded data: neither what stuffs it (00, and up to 7F in JPEG-LS), nor a restart marker, nor fill.
MARKER_IN_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
# The start of a codestream, or of one with a marker after SOI.
BEGINNING = re.compile(rb"\xff\xd8\xff|\xff\x4f\xff\x51")
MOST_BEGINNINGS = 16  # in what follows an end marker: padding hardly has one
NO_END = "its codestream has no end marker (FFD9): it is cut off, or was never finished"


class NoEndMarker(Undecodable):
    """A codestream ends before its end marker."""

    def __init__(self) -> None:
        super().__init__(NO_END)


class TwoFrames(Undecodable):
    """A second codestream follows the first."""

    def __init__(self) -> None:
        super().__init__("it holds a second codestream behind the first")


class Family(enum.StrEnum):
    """What a codestream is, in words for a message."""

    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True)
class Codestream:
    """One frame's codestream, ``data``, up to its end marker, and what it declares of its pixels.

    ``bits`` is the precision of a pixel. Only JPEG 2000 declares a sign. ``is_lossless`` is what the coding allows:
    a reversible one may still leave data out. ``marker`` is of a JPEG's frame header, 0 in JPEG 2000; ``is_plain``
    is False for what not every decoder reads: a JPEG-LS with unusual coding parameters, a JPEG 2000 image at an offset.
    """

    family: Family
    data: bytes
    rows: int
    columns: int
    components: int
    bits: int
    is_signed: bool = False
    is_lossless: bool = True
    marker: int = 0
    is_plain: bool = True


def is_codestream(data: bytes) -> bool:
    """Return whether ``data`` begins as a codestream does, or as a JP2 file around one."""
    return data.startswith((SOI + b"\xff", SOC_SIZ, jpeg2000.JP2_SIGNATURE))


def read_codestream(data: bytes) -> Codestream:
    """Return the codestream at the start of ``data``, out of its JP2 boxes if it has any.

    Raises NoEndMarker, TwoFrames, and Undecodable for any other bytes, a cut within a header or a missing tile.
    """
    try:
        if data.startswith(jpeg2000.JP2_SIGNATURE):
            boxed, end = jpeg2000.unboxed(data)
            if len(boxed) > 1 or _begins_another(data, end):
                raise TwoFrames
            data = boxed[0]
        stream, end = _jpeg2000(data) if data.startswith(SOC_SIZ) else _jpeg(data)
    except (struct.error, IndexError):
        raise Undecodable("its codestream ends within a header") from None
    if _begins_another(data, end):
        raise TwoFrames
    return stream


def _begins_another(data: bytes, at: int) -> bool:
    """Return whether a codestream with a frame header begins in ``data`` from ``at``."""
    for _ in range(MOST_BEGINNINGS):
        found = BEGINNING.search(data, at)
        if found is None:
            return False
        if found[0] == SOC_SIZ:
            return True
        at = found.start() + len(SOI)
        try:
            _frame_header(data, at)
        except (Undecodable, struct.error, IndexError):
            continue
        return True
    return False


def _jpeg2000(data: bytes) -> tuple[Codestream, int]:
    """Return the JPEG 2000 codestream at the start of ``data``, and where it ends."""
    size = jpeg2000.declared_size(data)
    end = jpeg2000.end_of_tiles(data)
    if end is None:
        raise NoEndMarker
    stream = Codestream(
        Family.JPEG_2000,
        data[:end],
        *size,
        *jpeg2000.declared_depth(data),
        is_lossless=jpeg2000.is_reversible(data),
        is_plain=not jpeg2000.has_offset(data),
    )
    return stream, end


def _jpeg(data: bytes) -> tuple[Codestream, int]:
    """Return the JPEG or JPEG-LS at the start of ``data``, and where it ends (ISO/IEC 10918-1 B.2, 14495-1 C.2)."""
    if not data.startswith(SOI):
        raise Undecodable("its bytes begin as neither JPEG nor JPEG 2000")
    at = _frame_header(data, len(SOI))
    marker = data[at + 1]
    (length, bits, rows, columns, components) = struct.unpack_from(">HBHHB", data, at + 2)
    scan, has_presets = _first_scan(data, at + 2 + length)
    end = _end_of_image(data, scan)
    is_lossless, family = marker in LOSSLESS_FRAMES, Family.JPEG
    if marker == JPEG_LS_FRAME:
        # SOS: length, number of components, two bytes for each, then NEAR (ISO/IEC 14495-1 C.2.3).
        family, is_lossless = Family.JPEG_LS, data[scan + 5 + 2 * data[scan + 4]] == 0
    elif is_lossless:
        family = Family.JPEG_LOSSLESS
    stream = Codestream(
        family,
        data[:end],
        rows,
        columns,
        components,
        bits,
        is_lossless=is_lossless,
        marker=marker,
        is_plain=not has_presets,
    )
    return stream, end


def _frame_header(data: bytes, at: int) -> int:
    """Return where the marker of a JPEG's frame header is, from the marker segment at ``at``."""
    for found, marker in _segments(data, at, "its frame header"):
        if marker in START_OF_FRAME:
            return found
        if marker == START_OF_SCAN:
            break
    raise Undecodable("its codestream has no frame header")


def _first_scan(data: bytes, at: int) -> tuple[int, bool]:
    """Return where the first SOS marker is, from ``at`` behind the frame header, and whether presets are before it."""
    has_presets = False
    for found, marker in _segments(data, at, "its first scan"):
        at = found
        if marker == START_OF_SCAN:
            break
        if marker in START_OF_FRAME:
            raise Undecodable("its codestream has two frame headers")
        has_presets = has_presets or marker == PRESETS
    return at, has_presets


def _segments(data: bytes, at: int, before: str) -> Iterator[tuple[int, int]]:
    """Yield the place and the marker of each segment from ``at``; fill bytes count as segments.

    Raises Undecodable where a marker is missing, or where MOST_MARKERS come ``before`` what is looked for.
    """
    for _ in range(MOST_MARKERS):
        if data[at] != FILL:
            raise Undecodable("a marker is missing in its codestream's header")
        marker = data[at + 1]
        if marker == FILL:
            at += 1
            continue
        yield at, marker
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
    raise Undecodable(f"its codestream has more than {MOST_MARKERS} markers before {before}")


def _end_of_image(data: bytes, at: int) -> int:
    """Return where the end marker ends, from the SOS marker at ``at``: scan after scan, segments by their lengths."""
    for _ in range(MOST_MARKERS):
        found = MARKER_IN_SCAN.search(data, at)
        if found is None:
            raise NoEndMarker
        at, marker = found.end(), data[found.end() - 1]
        if marker == END_OF_IMAGE:
            return at
        if marker == START_OF_IMAGE:
            raise TwoFrames
        if marker in START_OF_FRAME:
            raise Undecodable("its codestream has two frame headers")
        if at + 2 > len(data):
            raise NoEndMarker
        (length,) = struct.unpack_from(">H", data, at)
        at += length
    raise Undecodable(f"its codestream has more than {MOST_MARKERS} markers in its scans")
