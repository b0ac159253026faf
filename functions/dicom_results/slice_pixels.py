"""A slice in grey, as the model saw it: decoded with what the layer has, turned, and shown in the model's window.

The container has decoded the same bytes before, in a process with bounded memory; the caller compares their hash. What
the layer cannot decode has no picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.pixels.decoders.base import get_decoder

from functions.dicom_results.quiet import quietly
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain.errors import NoPicture
from functions.domain.grid import Over
from untrusted.encoding import Bounds
from untrusted.header import Header, HeaderError, read_header
from untrusted.picture import DECIMAL, frames
from untrusted.walker import UNDEFINED_LENGTH

Grey = npt.NDArray[np.float32]
"""Rows x columns, 0 (dark) to 1."""

MOST_PIXELS = 4096 * 4096  # the container reads no larger frame
MOST_BYTES = 40 * 1024**2  # of an object; the largest frame has 32 MiB
BOUNDS = Bounds(deflated=MOST_BYTES, inflated=64 * 1024**2)
LONGEST_SIDE = 512  # of a drawn slice
MAY_BE_SHOWN = frozenset({"NO", ""})  # values of BurnedInAnnotation
DECODERS: Mapping[uid.UID, str] = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.DeflatedExplicitVRLittleEndian: "",
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pillow",
    uid.JPEG2000: "pillow",
}
"""Transfer syntax -> pydicom's plugin. It is named, so that other installed packages decode nothing."""
NUMBERS = {
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
}
"""The decoder's options that are numbers of the header."""
WANTED = {
    keyword: int(tag_for_keyword(keyword) or 0)
    for keyword in (
        *("SOPInstanceUID", "BurnedInAnnotation", "PhotometricInterpretation", "NumberOfFrames"),
        *("RescaleSlope", "RescaleIntercept", *NUMBERS.values()),
    )
}
GREYS = frozenset({"MONOCHROME1", "MONOCHROME2"})  # of Hounsfield units both mean the same


def header_of_slice(body: bytes) -> Header:
    """Return the header of a slice whose picture may be shown; raise NoPicture for another."""
    try:
        header = read_header(body, len(body), WANTED, BOUNDS, behind=True)
    except HeaderError:
        raise NoPicture(NoPictureCode.UNDECODABLE) from None
    if header.code("BurnedInAnnotation") not in MAY_BE_SHOWN or "BurnedInAnnotation" in header.disputed:
        raise NoPicture(NoPictureCode.BURNED_IN)
    return header


def grey(header: Header, over: Over) -> Grey:
    """Return the slice of a header as the model saw it, its longer side LONGEST_SIDE; raise NoPicture without one."""
    slope, intercept = (_decimal(header.text(keyword)) for keyword in ("RescaleSlope", "RescaleIntercept"))
    shown = _decoded(header).astype(np.float32)
    shown *= np.float32(slope / over.width_hu)
    shown += np.float32((intercept - over.level_hu) / over.width_hu + 0.5)
    np.clip(shown, 0, 1, out=shown)
    return _resized(_turned(shown, over), over)


def size(over: Over) -> tuple[int, int]:
    """Return the rows and columns of a drawn slice."""
    longest = max(over.rows, over.columns)
    rows, columns = (max(1, round(side * LONGEST_SIDE / longest)) for side in (over.rows, over.columns))
    return rows, columns


def _decoded(header: Header) -> npt.NDArray[np.integer[Any]]:
    """Return the stored values of the one frame."""
    syntax = uid.UID(header.transfer_syntax)
    if syntax not in DECODERS:
        raise NoPicture(NoPictureCode.NOT_DECODED)
    numbers = {option: header.number(keyword) for option, keyword in NUMBERS.items()}
    rows, columns = numbers["rows"] or 0, numbers["columns"] or 0
    if rows * columns > MOST_PIXELS:
        raise NoPicture(NoPictureCode.TOO_LARGE)
    photometric, pixels = header.code("PhotometricInterpretation"), header.pixels
    if frames(header) != 1 or photometric not in GREYS or pixels is None:
        raise NoPicture(NoPictureCode.UNDECODABLE)
    end = len(header.data) if pixels.length == UNDEFINED_LENGTH else pixels.start + pixels.length
    if not syntax.is_encapsulated and pixels.length not in _lengths(numbers):  # fragments, say
        raise NoPicture(NoPictureCode.UNDECODABLE)
    options: dict[str, Any] = numbers | {
        "number_of_frames": 1,
        "photometric_interpretation": photometric,
        "pixel_keyword": "PixelData",
        "pixel_vr": "OB" if pixels.vr == b"OB" else "OW",
    }
    try:
        with quietly():
            decoder = get_decoder(syntax)
            found, _ = decoder.as_array(
                header.data[pixels.start : end], index=0, decoding_plugin=DECODERS[syntax], **options
            )
    except Exception:  # decoders raise anything, and their texts may quote the object
        raise NoPicture(NoPictureCode.UNDECODABLE) from None
    if not _fits(found, numbers):
        raise NoPicture(NoPictureCode.UNDECODABLE)
    return found


def _lengths(numbers: Mapping[str, int | None]) -> set[int]:
    """Return the bytes that one native frame may have: an odd one is padded."""
    needed = (numbers["rows"] or 0) * (numbers["columns"] or 0) * (numbers["bits_allocated"] or 0) // 8
    return {needed, needed + needed % 2}


def _fits(found: npt.NDArray[np.integer[Any]], numbers: Mapping[str, int | None]) -> bool:
    """Return whether all values have at most BitsStored bits.

    A codestream with more may hold an overlay there, which may be a text, or values whose sign is unclear.
    """
    signed = numbers["pixel_representation"] or 0
    end = 1 << (numbers["bits_stored"] or 0) - signed
    return bool(found.min() >= -end * signed and found.max() < end)


def _decimal(text: str) -> float:
    value = float(text) if DECIMAL.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise NoPicture(NoPictureCode.UNDECODABLE)
    return value


def _turned(array: Grey, over: Over) -> Grey:
    """Return the array in the axes of the model's input."""
    turned = array.T if over.exchange else array
    if over.reverse_rows:
        turned = turned[::-1]
    return turned[:, ::-1] if over.reverse_columns else turned


def _resized(array: Grey, over: Over) -> Grey:
    rows, columns = size(over)
    image = Image.fromarray(np.ascontiguousarray(array))
    found: Grey = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    return found
