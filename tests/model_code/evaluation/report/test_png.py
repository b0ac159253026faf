"""The PNG writer, read back by the rules of the format."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from model_code.evaluation.report.png import SIGNATURE, encode

rng = np.random.default_rng(0)


def read(png: bytes) -> np.ndarray:
    """Return the grey values of a PNG with the row filters None, Sub or Up."""
    assert png.startswith(SIGNATURE)
    at, chunks = len(SIGNATURE), []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        chunks.append((kind, content))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    columns, rows, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, rest) == (8, 0, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8).reshape(rows, 1 + columns)
    assert (lines[:, 0] == 2).all()
    return np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 48)])
def test_what_is_written_is_read_back(shape: tuple[int, int]) -> None:
    grey = rng.integers(0, 256, shape, dtype=np.uint8)
    assert (read(encode(grey)) == grey).all()
