"""Codestreams of small pictures, one of each family, and objects around them."""

from __future__ import annotations

import io
from collections.abc import Callable

import jpeg_ls
import numpy as np
import pydicom
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels.encoders import RLELosslessEncoder

from model_code.errors import InstanceError
from model_code.reading.dicom import _pixel_attributes, read_instance
from model_code.reading.frame import Frame, stored_values
from tests.model_code.conftest import make_slice

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
SHAPE = (40, 36)
PICTURE = (np.linspace(0, 4087, 1440).reshape(SHAPE) + np.random.default_rng(0).integers(0, 9, SHAPE)).astype(np.uint16)
"""12 bits a pixel, all of them used."""


def j2k(stored: np.ndarray, bits: int, *, is_signed: bool = False, is_jp2: bool = False) -> bytes:
    """Return a lossless JPEG 2000 codestream of pixels with ``bits`` of precision, by OpenJPEG."""
    size = 1 if bits <= 8 else 2
    values = (stored if is_signed else stored.astype(int) & (1 << bits) - 1).astype(
        f"<{'i' if is_signed else 'u'}{size}"
    )
    return encode_array(values, bits_stored=bits, photometric_interpretation=2, use_mct=False, codec_format=int(is_jp2))


def jpeg_lossless(stored: np.ndarray, bits: int) -> bytes:
    """Return a lossless JPEG of pixels with ``bits`` of precision, 9 to 16, by GDCM.

    GDCM gives it 16. The prediction of the first pixel is half of the range (ISO/IEC 10918-1 H.1.2.1), so the same
    differences make the same picture in another precision if they begin from the other half.
    """
    values = ((stored.astype(int) & (1 << bits) - 1) + 2**15 - 2 ** (bits - 1)).astype("<u2")
    frame = frame_of(make_slice(values, syntax=uid.JPEGLosslessSV1))
    at = frame.index(b"\xff\xc3") + 4
    return frame[:at] + bytes([bits]) + frame[at + 1 :]


def jls(stored: np.ndarray, bits: int, near: int = 0) -> bytes:
    """Return a JPEG-LS of pixels that need just ``bits``, by CharLS."""
    values = (stored.astype(int) & (1 << bits) - 1).astype("u1" if bits <= 8 else "<u2")
    return bytes(jpeg_ls.encode_array(values, lossy_error=near))


def rle(stored: np.ndarray, allocated: int = 16) -> bytes:
    """Return run lengths of pixels of 8 or 16 bits, by pydicom."""
    values = (stored.astype(int) & (1 << allocated) - 1).astype(f"<u{allocated // 8}")
    return RLELosslessEncoder.encode(
        values,
        encoding_plugin="pydicom",
        rows=values.shape[0],
        columns=values.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=allocated,
        bits_stored=allocated,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )


def frame_of(body: bytes) -> bytes:
    """Return the one frame of an object without its padding."""
    frame: bytes = get_frame(pydicom.dcmread(io.BytesIO(body)).PixelData, 0, number_of_frames=1)
    return frame


def item(value: bytes, length: int | None = None) -> bytes:
    """Return an item, with another length than its value's if ``length`` is given."""
    return ITEM + (len(value) if length is None else length).to_bytes(4, "little") + value


def fragments(*values: bytes) -> bytes:
    """Return fragments behind an empty offset table, each padded to an even length."""
    return item(b"") + b"".join(item(value + bytes(len(value) % 2)) for value in values) + DELIMITER


def with_pixel_data(body: bytes, value: bytes, length: int = 0xFFFFFFFF) -> bytes:
    """Return an object in Explicit VR Little Endian whose PixelData has this value and length."""
    at = body.index(b"\xe0\x7f\x10\x00O")
    return body[: at + 8] + length.to_bytes(4, "little") + value


def read(body: bytes) -> Frame:
    """Return the frame of an object."""
    elements = read_instance(body)
    return stored_values(elements, _pixel_attributes(elements))


def refusal(body: bytes) -> InstanceError:
    """Return the error that an object's frame is refused with."""
    try:
        read(body)
    except InstanceError as error:
        return error
    raise AssertionError("it is read")


FAMILIES: dict[uid.UID, Callable[[], bytes]] = {
    uid.RLELossless: lambda: rle(PICTURE),
    uid.JPEGLosslessSV1: lambda: jpeg_lossless(PICTURE, 12),
    uid.JPEGLSLossless: lambda: jls(PICTURE, 12),
    uid.JPEG2000Lossless: lambda: j2k(PICTURE, 12),
}
"""PICTURE as a frame of each compression, by a transfer syntax for it."""
