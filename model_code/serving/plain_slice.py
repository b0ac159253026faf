"""The bytes of a plain CT slice that any server of this service can read: a failure at it is not an object's fault.

It is written out here: the supervisor does not import pydicom, nor anything that the model's process needs.
"""

from __future__ import annotations

import struct

SIDE = 64
VALUES = 1500  # from -1024 to 475 HU: air, soft tissue and bone
CT_IMAGE, EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
UID = "2.25.1"
ELEMENTS: tuple[tuple[int, int, str, str | int], ...] = (
    (0x0008, 0x0016, "UI", CT_IMAGE),
    (0x0008, 0x0018, "UI", UID),
    (0x0008, 0x0060, "CS", "CT"),
    (0x0028, 0x0002, "US", 1),  # SamplesPerPixel
    (0x0028, 0x0004, "CS", "MONOCHROME2"),
    (0x0028, 0x0010, "US", SIDE),
    (0x0028, 0x0011, "US", SIDE),
    (0x0028, 0x0100, "US", 16),
    (0x0028, 0x0101, "US", 16),
    (0x0028, 0x0102, "US", 15),
    (0x0028, 0x0103, "US", 0),  # PixelRepresentation: unsigned
    (0x0028, 0x1052, "DS", "-1024"),
    (0x0028, 0x1053, "DS", "1"),
)


def plain_slice() -> bytes:
    """Return SIDE x SIDE pixels of rising values, again and again, uncompressed, as a DICOM file."""
    meta = _element(0x0002, 0x0002, "UI", CT_IMAGE) + _element(0x0002, 0x0003, "UI", UID)
    meta += _element(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN)
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    pixels = struct.pack(f"<{SIDE * SIDE}H", *(pixel % VALUES for pixel in range(SIDE * SIDE)))
    pixel_data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(pixels)) + pixels
    return bytes(128) + b"DICM" + length + meta + b"".join(_element(*one) for one in ELEMENTS) + pixel_data


def _element(group: int, element: int, vr: str, value: str | int) -> bytes:
    if isinstance(value, int):
        content = struct.pack("<H", value)
    else:
        content = value.encode("ascii")
        content += (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
    return struct.pack("<HH2sH", group, element, vr.encode("ascii"), len(content)) + content
