"""Writes a grey picture as PNG, which needs a compressor and a checksum but no imaging library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREYSCALE = 0


def encode(grey: npt.NDArray[np.uint8]) -> bytes:
    """Return rows x columns of 8-bit grey values as a PNG file."""
    rows, columns = grey.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, GREYSCALE, 0, 0, 0)
    # Each row holds its difference to the row above (filter type 2, modulo 256), which compresses better.
    differences = np.diff(grey, axis=0, prepend=np.zeros((1, columns), np.uint8))
    lines = np.concatenate([np.full((rows, 1), 2, np.uint8), differences], axis=1)
    return (
        SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + _chunk(b"IEND", b"")
    )


def data_uri(picture: bytes) -> str:
    """Return a PNG file as the address of a picture that a page holds itself."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
