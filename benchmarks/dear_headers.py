"""Objects whose headers cost ingest the most: nearly as many elements as are stepped over, read again and again.

Random bytes that do not deflate stand behind what is stepped over, so that the header goes on however much is read.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping

from pydicom import uid

MIB = 1024 * 1024
ELEMENTS = 99_000  # fewer than a header may have
EMPTY = struct.pack("<HH2sH", 0x0008, 0x0001, b"LO", 0)
SEQUENCE = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
ENDLESS = struct.pack("<HH2sHL", 0x0009, 0x1000, b"OB", 0, 0x7FFFFFFE)


def deflated(data_set: bytes) -> bytes:
    """A file of Deflated Explicit VR Little Endian with this data set, and 8 MiB that do not deflate after it."""
    value = uid.DeflatedExplicitVRLittleEndian.encode()
    meta = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(value)) + value
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(data_set) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = os.urandom(0xFFFF)
    stored = (b"\0" + struct.pack("<HH", 0xFFFF, 0) + block) * (8 * MIB // len(block) + 2)
    return bytes(128) + b"DICM" + meta + body + stored


def objects() -> Mapping[str, bytes]:
    """Each kind's name and one object."""
    return {
        "empty elements": deflated(EMPTY * ELEMENTS + ENDLESS),
        "empty items": deflated(SEQUENCE + EMPTY_ITEM * ELEMENTS),
        "nested sequences": deflated((SEQUENCE + ITEM) * (ELEMENTS // 2)),
        "16 MiB inflated": deflated(EMPTY * 1000 + ENDLESS + bytes(15 * MIB)),
        "twice as many": deflated(EMPTY * 2 * MIB),
    }
