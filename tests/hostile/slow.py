"""Codestreams made to be slow or large within the sizes that are read, each of another kind.

``python -m tests.hostile.slow`` gives each to the container and prints what became of it, in which time.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import numpy as np
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.encaps import encapsulate

from model_code.errors import InstanceError
from model_code.inference import input_fn
from model_code.reading import decoder_process
from model_code.reading.codestream import MOST_MARKERS
from tests.hostile.objects import PixelFormat, written

SIDE = 4096
MIB = 1024**2
PAYLOAD = 15 * MIB  # of the 16 MiB that a job sends at most


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">2H", marker, len(content) + 2) + content


def jpeg_2000_head(*, tile: int, layers: int, levels: int, precincts: int, progression: int, blocks: int) -> bytes:
    """Return a main header of one component of 16 bits; ``precincts`` and ``blocks`` as the COD segment codes them."""
    size = struct.pack(">H8IH", 0, SIDE, SIDE, 0, 0, tile, tile, 0, 0, 1) + bytes([15, 1, 1])
    coding = struct.pack(">BBHBBBBBB", 1, progression, layers, 0, levels, blocks, blocks, 0, 1)
    coding += bytes([precincts]) * (levels + 1)
    quantisation = bytes([0x40]) + bytes([0x80]) * (3 * levels + 1)
    return b"\xff\x4f" + segment(0xFF51, size) + segment(0xFF52, coding) + segment(0xFF5C, quantisation)


def jpeg_2000_tiles(head: bytes, tile: int, data: bytes) -> bytes:
    """Return the codestream with the same ``data`` in all tiles."""
    count = (SIDE // tile) ** 2
    parts = (struct.pack(">HHHIBB", 0xFF90, 10, number, 14 + len(data), 0, 1) for number in range(count))
    return head + b"".join(part + b"\xff\x93" + data for part in parts) + b"\xff\xd9"


def layers_of_nothing() -> bytes:
    """Declare a thousand million packets, all of them absent (CVE-2023-39327)."""
    head = jpeg_2000_head(tile=128, layers=65535, levels=0, precincts=0x22, progression=0, blocks=0)
    return jpeg_2000_tiles(head, 128, bytes(4))


def packets_of_nothing() -> bytes:
    """Return a byte for each packet, which declares it empty."""
    head = jpeg_2000_head(tile=1024, layers=65535, levels=5, precincts=0xAA, progression=1, blocks=0)
    return jpeg_2000_tiles(head, 1024, bytes(PAYLOAD // 16))


def precincts_of_a_pixel() -> bytes:
    """Return resolutions of the smallest precincts, in the order that searches for them."""
    head = jpeg_2000_head(tile=1024, layers=1, levels=5, precincts=0x11, progression=2, blocks=0)
    return jpeg_2000_tiles(head, 1024, bytes(PAYLOAD // 16))


def planes_of_bits() -> bytes:
    """Return values of 24 bits in a header that says 16: half as many coding passes more."""
    values = np.zeros((128, 128), "u4")
    values[::5, ::3] = 2**24 - 1
    encoded = encode_array(values, bits_stored=24, photometric_interpretation=2, use_mct=False)
    at = encoded.index(b"\xff\x90\x00\x0a")
    sizes = struct.pack(">8I", SIDE, SIDE, 0, 0, 128, 128, 0, 0)
    return jpeg_2000_tiles(encoded[:8] + sizes + encoded[40:at], 128, encoded[at + 14 : -2])


def jpeg_head(start_of_frame: int, precision: int) -> bytes:
    frame = struct.pack(">BHHB3B", precision, SIDE, SIDE, 1, 1, 0x11, 0)
    return b"\xff\xd8" + segment(0xFFDB, bytes([0]) + bytes([1]) * 64) + segment(0xFF00 | start_of_frame, frame)


def huffman_table(kind: int, symbols: bytes) -> bytes:
    """Return a table of up to three symbols, with codes of two bits."""
    return segment(0xFFC4, bytes([kind, 0, len(symbols)]) + bytes(14) + symbols)


def scan(first: int, last: int, approximation: int, data: bytes) -> bytes:
    return segment(0xFFDA, bytes([1, 1, 0, first, last, approximation])) + data


def scans_of_a_progressive_jpeg() -> bytes:
    """Return scans that each declare all blocks finished, in runs of 32,767 blocks."""
    runs = huffman_table(0x10, bytes([0xE0]))
    # Two bits of code, fourteen of the longest run's length, a stuffed byte: nine of them are more than 262,144 blocks.
    data = bytes.fromhex("3fff00") * 9
    one = scan(1, 63, 0, data)
    head = jpeg_head(0xC2, 8) + huffman_table(0x00, bytes([0])) + runs
    return head + scan(0, 0, 0, bytes(SIDE * SIDE // 64 // 4)) + one * (MOST_MARKERS - 9) + b"\xff\xd9"


def scans_of_a_lossless_jpeg() -> bytes:
    """Return scans without data, each of them for a whole image."""
    one = scan(1, 0, 0, b"")
    head = jpeg_head(0xC3, 16) + huffman_table(0x00, bytes([0]))
    return head + one * (MOST_MARKERS - 9) + b"\xff\xd9"


def restarts_of_a_lossless_jpeg() -> bytes:
    """Return a restart marker after each line, also after absent lines."""
    head = jpeg_head(0xC3, 16) + huffman_table(0x00, bytes([0])) + segment(0xFFDD, struct.pack(">H", SIDE))
    markers = [b"\xff" + bytes([0xD0 + number % 8]) for number in range(PAYLOAD // 2)]
    lines = b"".join(bytes(SIDE // 4) + marker for marker in markers[: SIDE // 2])
    return head + scan(1, 0, 0, lines + b"".join(markers[SIDE // 2 :])) + b"\xff\xd9"


def segments_of_a_jpeg() -> bytes:
    """Return a million tables before the first scan."""
    table = huffman_table(0x00, bytes([0]))
    head = jpeg_head(0xC3, 16)
    return head + table * (PAYLOAD // len(table)) + scan(1, 0, 0, bytes(SIDE * SIDE // 4)) + b"\xff\xd9"


def a_jpeg_ls_of_nothing() -> bytes:
    """Return lines of one run each."""
    frame = struct.pack(">BHHB3B", 16, SIDE, SIDE, 1, 1, 0x11, 0)
    start = segment(0xFFDA, bytes([1, 1, 0, 0, 0, 0]))
    return b"\xff\xd8" + segment(0xFFF7, frame) + start + bytes(PAYLOAD) + b"\xff\xd9"


def runs_of_an_rle() -> bytes:
    """Return the shortest runs, of two bytes: one step of the decoder for each."""
    run = b"\xff\0" * (PAYLOAD // 4)
    return struct.pack("<16L", 2, 64, 64 + len(run), *[0] * 13) + run * 2


def literals_of_an_rle() -> bytes:
    """Return literal runs of one byte, and bytes without meaning."""
    run = b"\x80" * (PAYLOAD // 2)
    return struct.pack("<16L", 2, 64, 64 + len(run), *[0] * 13) + run * 2


J2K, JPEG, LOSSLESS = uid.JPEG2000Lossless, uid.JPEGBaseline8Bit, uid.JPEGLosslessSV1
SLOW: dict[str, tuple[uid.UID, Callable[[], bytes]]] = {
    "layers of nothing": (J2K, layers_of_nothing),
    "packets of nothing": (J2K, packets_of_nothing),
    "precincts of a pixel": (J2K, precincts_of_a_pixel),
    "planes of bits": (J2K, planes_of_bits),
    "scans of a progressive JPEG": (JPEG, scans_of_a_progressive_jpeg),
    "scans of a lossless JPEG": (LOSSLESS, scans_of_a_lossless_jpeg),
    "restarts of a lossless JPEG": (LOSSLESS, restarts_of_a_lossless_jpeg),
    "segments of a JPEG": (LOSSLESS, segments_of_a_jpeg),
    "a JPEG-LS of nothing": (uid.JPEGLSLossless, a_jpeg_ls_of_nothing),
    "runs of an RLE": (uid.RLELossless, runs_of_an_rle),
    "literals of an RLE": (uid.RLELossless, literals_of_an_rle),
}


def body(name: str) -> bytes:
    """Return the object of that name in SLOW, as a DICOM file."""
    syntax, make = SLOW[name]
    pixels = PixelFormat("8-bit", "u1", 8) if syntax == JPEG else PixelFormat("16-bit", "u2", 16)
    return written(syntax, pixels, Rows=SIDE, Columns=SIDE, PixelData=encapsulate([make()]))


def main() -> None:
    """Print each object, the container's outcome, and the seconds it took."""
    decoder_process.SHARED.start()
    for name in SLOW:
        whole = body(name)
        started = time.perf_counter()
        reading = input_fn(whole, "application/dicom").reading
        seconds = time.perf_counter() - started
        said = reading.message if isinstance(reading, InstanceError) else "read"
        print(f"{name:30} {len(whole) / 1024:9.1f} KiB {seconds:6.2f} s  {said[-70:]}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
