"""Objects made to be slow or large for a reader, by name; all within the default size limit of an upload."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable

from pydicom import dcmread, uid
from pydicom.encaps import get_frame
from pydicom.tag import Tag

from functions.domain.header import WANTED
from model_code.reading.dicom import KEYWORDS as CONTAINER_KEYWORDS
from model_code.reading.jpeg2000 import JP2_SIGNATURE
from tests.hostile.defects import deflated, element_edited, header, parted
from tests.hostile.objects import good
from tests.hostile.pixel_defects import END, ITEM, NO_OFFSETS, PIXEL_DATA, item
from untrusted import attributes

MIB = 1024 * 1024
LONGEST = 15 * MIB
UNDEFINED = 0xFFFFFFFF
MOST = 100_000
EXPLICIT, DEFLATED = uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian

EMPTY = struct.pack("<HH2sH", 9, 1, b"LO", 0)
SEQUENCE, OPEN = header("<", False, 0x00081140, b"SQ", UNDEFINED), header("<", True, 0xFFFEE000, b"", UNDEFINED)
PATIENT_ID, SOP_INSTANCE_UID, RESCALE_SLOPE = 0x00100020, 0x00080018, 0x00281053
CLOSE, CLOSE_SEQUENCE = header("<", True, 0xFFFEE00D, b"", 0), header("<", True, 0xFFFEE0DD, b"", 0)
EMPTY_ITEM = header("<", True, 0xFFFEE000, b"", 0)
GOES_ON = header("<", False, 0x00091000, b"OB", 0x7FFFFFFE)
# A deflate block that holds nothing, with its own table: eight in 90 bits, the most expensive bytes to inflate.
EMPTY_BLOCK = (
    [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]
    + [(one in {2, 17}, 3) for one in range(18)]
    + [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]
)


def _bits(parts: Iterable[tuple[int, int]]) -> bytes:
    """Pack numbers of so many bits each, lowest bit first, into whole bytes."""
    value = at = 0
    for number, bits in parts:
        value |= int(number) << at
        at += bits
    return value.to_bytes(at // 8, "little")


def _plain(start: bytes) -> bytes:
    meta, data = parted(good(EXPLICIT))
    return meta + start + data


def _deflated(start: bytes, *, then: bytes = b"") -> bytes:
    """Return a deflated object with this data set; ``then`` is inserted raw before the rest."""
    meta, data = parted(good(DEFLATED))
    if not then:
        return meta + deflated(start + data)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return meta + deflater.compress(start) + deflater.flush(zlib.Z_FULL_FLUSH) + then


def _noise() -> bytes:
    """Return incompressible bytes as blocks of a deflate stream."""
    return _filled(b"\0" + struct.pack("<HH", 65535, 0) + os.urandom(65535))


def _filled(unit: bytes, size: int = LONGEST) -> bytes:
    return unit * (size // len(unit))


def _values(size: int) -> bytes:
    """Return an object with ``size`` bytes in every element that a reader reads, except file meta information."""
    tags = sorted({int(Tag(one)) for one in (*attributes.META, *WANTED, *CONTAINER_KEYWORDS)})
    return b"".join(_value(tag, b"1" * size) for tag in tags if tag >> 16 > 2)


def _value(tag: int, value: bytes) -> bytes:
    return header("<", False, tag, b"UN", len(value)) + value


def _in_meta(start: bytes) -> bytes:
    body = good(EXPLICIT)
    return body[:132] + start + body[132:]


def _frame(syntax: uid.UID, value: bytes) -> bytes:
    body = good(syntax)
    return body[: body.index(PIXEL_DATA) + 12] + value


def _codestream(syntax: uid.UID, content: bytes) -> bytes:
    return _frame(syntax, NO_OFFSETS + item(content) + END)


def _jpeg() -> bytes:
    whole = dcmread(io.BytesIO(good(uid.JPEGLosslessSV1)))
    frame: bytes = get_frame(whole.PixelData, 0, number_of_frames=1)
    return frame


def _scanned(scan: bytes) -> bytes:
    """Return a JPEG with another scan, up to its end marker."""
    whole = _jpeg()
    return whole[: whole.index(b"\xff\xda") + 10] + scan + b"\xff\xd9"


def _large(syntax: uid.UID) -> bytes:
    """Return 4096 x 4096 pixels of zero."""
    body = good(EXPLICIT)
    for tag in (0x00280010, 0x00280011):
        body = element_edited(tag, lambda one, _: one[:-2] + struct.pack("<H", 4096))(body)
    data = parted(body)[1]
    pixels = data[: data.index(PIXEL_DATA) + 8] + struct.pack("<L", 4096 * 4096 * 2) + bytes(4096 * 4096 * 2)
    return parted(good(syntax))[0] + deflated(pixels)


def _unknown(number: int) -> bytes:
    return b"".join(struct.pack("<HH2sHL", 1 + one // 60_000 * 2, one % 60_000, b"??", 0, 0) for one in range(number))


PRIVATE = b"".join(struct.pack("<HH2sH", 9 + 2 * (one % 9000), one % 256, b"LO", 0) for one in range(MOST))
META = struct.pack("<HH2sH", 2, 0x13, b"SH", 0)
PATIENT = struct.pack("<HH2sH", 0x10, 0x20, b"LO", 1024) + b"P" * 1024

OBJECTS: dict[str, Callable[[], bytes]] = {
    "a sound one": lambda: good(EXPLICIT),
    "elements": lambda: _plain(_filled(EMPTY)),
    "elements, deflated": lambda: _deflated(_filled(EMPTY, 20 * MIB)),
    "as many elements as fit, read twice": lambda: _deflated(EMPTY * (MOST - 50) + GOES_ON, then=_noise()),
    "15 MiB of elements, then noise": lambda: _deflated(_filled(EMPTY) + GOES_ON, then=_noise()),
    "elements of unknown VR": lambda: _plain(_unknown(MOST // 4 - 50)),
    "private groups": lambda: _plain(PRIVATE * 2),
    "one element again and again": lambda: _plain(_filled(PATIENT)),
    "one element again and again, deflated": lambda: _deflated(_filled(PATIENT, 60 * MIB)),
    "small sequences": lambda: _plain(_filled(SEQUENCE + OPEN + EMPTY + CLOSE + CLOSE_SEQUENCE)),
    "items": lambda: _plain(SEQUENCE + _filled(EMPTY_ITEM)),
    "items, deflated": lambda: _deflated(SEQUENCE + _filled(EMPTY_ITEM, 60 * MIB)),
    "sequences in sequences": lambda: _plain(_filled(SEQUENCE + OPEN)),
    "sequences in sequences, deflated": lambda: _deflated(_filled(SEQUENCE + OPEN, 60 * MIB)),
    "file meta information": lambda: _in_meta(_filled(META)),
    "file meta information, one long value": lambda: _in_meta(_value(0x00020102, bytes(LONGEST))),
    "values of 512 KiB": lambda: _plain(_values(MIB // 2)),
    "values of 2 MiB, deflated": lambda: _deflated(_values(2 * MIB)),
    "a PatientID of 7 MiB, deflated": lambda: _deflated(_value(PATIENT_ID, b"\xff" * 7 * MIB)),
    "a PatientID of 14 MiB, deflated": lambda: _deflated(_value(PATIENT_ID, b"\xff" * 14 * MIB)),
    "a SOPInstanceUID of 7 MiB, deflated": lambda: _deflated(_value(SOP_INSTANCE_UID, b"\xff" * 7 * MIB)),
    "a RescaleSlope of 7 MiB of digits": lambda: _plain(_value(RESCALE_SLOPE, b"1" * 7 * MIB)),
    "300 MiB of zeros, deflated": lambda: _deflated(bytes(300 * MIB)),
    "deflated to nothing, tables": lambda: _deflated(b"", then=_filled(_bits(EMPTY_BLOCK * 8))),
    "deflated to nothing, stored": lambda: _deflated(b"", then=_filled(b"\0\0\0\xff\xff")),
    "4096 x 4096, deflated": lambda: _large(DEFLATED),
    "fragments, empty": lambda: _frame(uid.JPEG2000Lossless, NO_OFFSETS + _filled(item(b"")) + END),
    "fragments of two bytes": lambda: _frame(uid.JPEGLosslessSV1, NO_OFFSETS + _filled(item(b"\xff\xff")) + END),
    "an offset table of 15 MiB": lambda: _frame(
        uid.JPEGLosslessSV1, ITEM + struct.pack("<L", LONGEST) + bytes(LONGEST)
    ),
    "JPEG of fill bytes": lambda: _codestream(uid.JPEGLosslessSV1, b"\xff\xd8" + b"\xff" * LONGEST + b"\xd9"),
    "JPEG of empty segments": lambda: _codestream(
        uid.JPEGLosslessSV1, b"\xff\xd8" + _filled(b"\xff\xe0\0\2") + b"\xff\xd9"
    ),
    "JPEG of scans": lambda: _codestream(uid.JPEGLosslessSV1, _scanned(_filled(b"\xff\xda\0\2"))),
    "JPEG of restart markers": lambda: _codestream(uid.JPEGLosslessSV1, _scanned(_filled(b"\xff\xd0"))),
    "JPEG and beginnings of others": lambda: _codestream(
        uid.JPEGLosslessSV1, _jpeg() + _filled(b"\xff\xd8" + b"\xff\xe0\0\2" * 10_001)
    ),
    "JP2 of boxes": lambda: _codestream(uid.JPEG2000Lossless, JP2_SIGNATURE + _filled(b"\0\0\0\x08free")),
    "odd fragments": lambda: _frame(uid.JPEGLosslessSV1, NO_OFFSETS + _filled(item(b"\xff") + b"\0") + END),
    "a fragment of a wrong length": lambda: _frame(
        uid.JPEGLosslessSV1, NO_OFFSETS + ITEM + struct.pack("<L", 8) + _scanned(_filled(b"\xff\xd0"))[:-2] + END
    ),
    "native pixels named JPEG, of 15 MiB": lambda: _frame(uid.JPEGLosslessSV1, _filled(b"\0\1")),
}
