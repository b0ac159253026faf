"""Defects of encapsulated pixel data and of deflated data sets: fragments, codestreams and bombs."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

from pydicom import dcmread, uid
from pydicom.encaps import get_frame

from tests.hostile.defects import deflated, parted, syntax_of
from tests.hostile.objects import Spoil, good

PIXEL_DATA = b"\xe0\x7f\x10\x00"
ITEM = b"\xfe\xff\x00\xe0"
END = b"\xfe\xff\xdd\xe0" + bytes(4)
NO_OFFSETS = ITEM + bytes(4)
Remake = Callable[[bytes], bytes]


class NotThis(Exception):
    """The transfer syntax lacks what the defect needs; the message says what."""


def item(content: bytes) -> bytes:
    """Return a fragment."""
    return ITEM + struct.pack("<L", len(content)) + content


def fragments(remake: Remake) -> Spoil:
    """Write the value of PixelData again, from the frame's codestream."""

    def spoil(body: bytes) -> bytes:
        if not syntax_of(body).is_encapsulated:
            raise NotThis("native pixel data have no fragments")
        codestream = get_frame(dcmread(io.BytesIO(body)).PixelData, 0, number_of_frames=1)
        return body[: body.index(PIXEL_DATA) + 12] + remake(codestream)

    return spoil


def codestream(change: Remake) -> Spoil:
    """Change the codestream itself, in sound fragments."""
    return fragments(lambda stream: NO_OFFSETS + item(_even(change(stream))) + END)


def _even(content: bytes) -> bytes:
    return content + bytes(len(content) % 2)


def _only(*syntaxes: uid.UID) -> Callable[[Spoil], Spoil]:
    def wrap(spoil: Spoil) -> Spoil:
        def checked(body: bytes) -> bytes:
            if syntax_of(body) not in syntaxes:
                raise NotThis(f"it is a defect of {syntaxes[0].name}")
            return spoil(body)

        return checked

    return wrap


JPEGS = (uid.JPEGLosslessSV1, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless)
of_jpeg = _only(*JPEGS, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
of_jpeg_2000 = _only(uid.JPEG2000Lossless, uid.JPEG2000)
of_rle = _only(uid.RLELossless)
of_deflate = _only(uid.DeflatedExplicitVRLittleEndian)


def _frame_header(rows: int, columns: int, components: int = 1) -> Remake:
    """State another size in the JPEG's frame header."""

    def change(stream: bytes) -> bytes:
        at = 2
        while stream[at + 1] not in {0xC0, 0xC1, 0xC3, 0xF7}:
            at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
        return stream[: at + 5] + struct.pack(">HHB", rows, columns, components) + stream[at + 10 :]

    return change


def _second_frame_header(stream: bytes) -> bytes:
    """Insert a large frame header after the small one, before the scan."""
    large = _frame_header(60000, 60000)(stream)
    scan = stream.index(b"\xff\xda")
    return stream[:scan] + large[2:]


def _size(offset: int, values: bytes) -> Remake:
    """Write into the SIZ segment of a JPEG 2000 codestream."""
    return lambda stream: stream[:offset] + values + stream[offset + len(values) :]


def _rle(segments: int, first: int, content: bytes) -> Remake:
    return lambda _: struct.pack("<16L", segments, *[first] * segments, *[0] * (15 - segments)) + content


def _bomb(size: int, content: bytes) -> Spoil:
    return lambda body: parted(body)[0] + deflated(content * (size // len(content)))


def _other_size(body: bytes) -> bytes:
    if not syntax_of(body).is_encapsulated:
        raise NotThis("native pixel data declare no size")
    return body.replace(struct.pack("<H", 72), struct.pack("<H", 64))


MIB = 1024 * 1024
PIXEL_DEFECTS: dict[str, Spoil] = {
    "no-fragments": fragments(lambda _: NO_OFFSETS + END),
    "no-offset-table": fragments(lambda stream: item(stream) + END),
    "empty-fragments": fragments(lambda _: NO_OFFSETS + item(b"") * 9 + END),
    "fragment-beyond-the-end": fragments(lambda stream: NO_OFFSETS + ITEM + struct.pack("<L", 2**31) + stream),
    "fragment-of-undefined-length": fragments(lambda stream: NO_OFFSETS + ITEM + b"\xff" * 4 + stream + END),
    "fragments-of-two-bytes": fragments(
        lambda stream: NO_OFFSETS + b"".join(item(stream[at : at + 2]) for at in range(0, len(stream), 2)) + END
    ),
    "fragments-many-and-empty": fragments(lambda stream: NO_OFFSETS + item(b"") * 100_000 + item(stream) + END),
    "offset-table-wild": fragments(lambda stream: item(b"\xff" * 400) + item(stream) + END),
    "no-delimiter": fragments(lambda stream: NO_OFFSETS + item(stream)),
    "fragments-cut": fragments(lambda stream: (NO_OFFSETS + item(stream))[:-30]),
    "codestream-of-zeros": codestream(lambda stream: bytes(len(stream))),
    "codestream-of-noise": codestream(lambda stream: bytes(value * 73 % 251 for value in range(len(stream)))),
    "codestream-cut": codestream(lambda stream: stream[: len(stream) // 2]),
    "codestream-cut-and-ended": codestream(lambda stream: stream[: len(stream) // 2] + b"\xff\xd9"),
    "codestream-damaged": codestream(lambda stream: stream[:-40] + b"\x55" * 30 + stream[-10:]),
    "codestream-of-jpeg-2000": codestream(lambda _: _stream(uid.JPEG2000Lossless)),
    "codestream-of-jpeg-lossless": codestream(lambda _: _stream(uid.JPEGLosslessSV1)),
    "codestream-of-jpeg-ls": codestream(lambda _: _stream(uid.JPEGLSLossless)),
    "codestream-of-rle": codestream(lambda _: _stream(uid.RLELossless)),
    "header-of-another-size": _other_size,
    "jpeg-huge": of_jpeg(codestream(_frame_header(65500, 65500))),
    "jpeg-no-rows": of_jpeg(codestream(_frame_header(0, 20))),
    "jpeg-four-components": of_jpeg(codestream(_frame_header(72, 64, 4))),
    "jpeg-second-frame-header": of_jpeg(codestream(_second_frame_header)),
    "jpeg-2000-huge": of_jpeg_2000(codestream(_size(8, struct.pack(">2L", 2**31, 2**31)))),
    "jpeg-2000-tiles-of-a-pixel": of_jpeg_2000(codestream(_size(24, struct.pack(">2L", 1, 1)))),
    "jpeg-2000-tile-huge": of_jpeg_2000(codestream(_size(24, struct.pack(">2L", 2**31, 2**31)))),
    "jpeg-2000-tiles-of-no-size": of_jpeg_2000(codestream(_size(24, bytes(8)))),
    "jpeg-2000-many-components": of_jpeg_2000(codestream(_size(40, struct.pack(">H", 16384)))),
    "jpeg-2000-38-bits": of_jpeg_2000(codestream(_size(42, bytes([37])))),
    "jpeg-2000-subsampled": of_jpeg_2000(codestream(_size(43, bytes([255, 255])))),
    "rle-no-segments": of_rle(codestream(_rle(0, 64, bytes(64)))),
    "rle-fifteen-segments": of_rle(codestream(_rle(15, 64, bytes(64)))),
    "rle-offsets-beyond": of_rle(codestream(_rle(2, 2**31, bytes(64)))),
    "rle-bomb": of_rle(codestream(_rle(2, 64, b"\x81\x00" * (4 * MIB)))),
    "deflate-bomb-of-zeros": of_deflate(_bomb(96 * MIB, bytes(MIB))),
    "deflate-bomb-of-elements": of_deflate(_bomb(96 * MIB, b"\x09\x00\x01\x10LO\x00\x00" * 4096)),
    "deflate-bomb-of-items": of_deflate(_bomb(96 * MIB, (b"\x08\x00\x40\x11SQ\0\0" + b"\xff" * 4 + NO_OFFSETS) * 4096)),
    "deflate-cut": of_deflate(lambda body: body[:-20]),
    "deflate-damaged": of_deflate(lambda body: parted(body)[0] + b"\xff" * 900),
}


def _stream(syntax: uid.UID) -> bytes:
    frame: bytes = get_frame(dcmread(io.BytesIO(good(syntax))).PixelData, 0, number_of_frames=1)
    return frame
