"""Reads the stored values of a slice's one frame from its Pixel Data, native or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid

from model_code.errors import InstanceCode, InstanceError
from model_code.reading import gdcm_plugin
from model_code.reading.codestream import (
    EXTENDED,
    Codestream,
    Family,
    NoEndMarker,
    TwoFrames,
    read_codestream,
)
from model_code.reading.decoder_process import SHARED, DecodingFailed, NoDecoder
from model_code.reading.elements import Elements
from model_code.reading.frame_notes import FrameNote
from model_code.reading.pixel_data import CUT, Encoded, Encoding, encoded_frame
from model_code.reading.stored_bits import Precision, as_stored
from model_code.reading.undecodable import Undecodable

# The families of codestreams that a transfer syntax is for, none for those without codestreams.
TRANSFER_SYNTAXES: dict[uid.UID, frozenset[Family]] = {
    uid.ImplicitVRLittleEndian: frozenset(),
    uid.ExplicitVRLittleEndian: frozenset(),
    uid.ExplicitVRBigEndian: frozenset(),
    uid.DeflatedExplicitVRLittleEndian: frozenset(),
    uid.RLELossless: frozenset(),
    uid.JPEGBaseline8Bit: frozenset({Family.JPEG}),
    uid.JPEGExtended12Bit: frozenset({Family.JPEG}),
    uid.JPEGLossless: frozenset({Family.JPEG_LOSSLESS}),
    uid.JPEGLosslessSV1: frozenset({Family.JPEG_LOSSLESS}),
    uid.JPEGLSLossless: frozenset({Family.JPEG_LS}),
    uid.JPEGLSNearLossless: frozenset({Family.JPEG_LS}),
    uid.JPEG2000Lossless: frozenset({Family.JPEG_2000}),
    uid.JPEG2000: frozenset({Family.JPEG_2000}),
    uid.HTJ2KLossless: frozenset({Family.JPEG_2000}),
    uid.HTJ2KLosslessRPCL: frozenset({Family.JPEG_2000}),
    uid.HTJ2K: frozenset({Family.JPEG_2000}),
}
LOSSY_BITS = frozenset({8, 12})  # of JPEG (ISO/IEC 10918-1 table B.2)
RUN_LENGTHS = (uid.RLELossless, "pydicom")


@dataclass(frozen=True)
class Frame:
    """The stored values, rows x columns, and what was assumed where the object contradicts itself."""

    values: npt.NDArray[np.integer[Any]]
    notes: tuple[FrameNote, ...]


def stored_values(elements: Elements, attributes: Mapping[str, Any]) -> Frame:
    """Return the decoded frame, signed and masked as ``attributes``, the decoder's options by the header, say.

    Raises InstanceError: UndecodablePixelData, or MultiFrame for a second codestream.
    """
    syntax = elements.transfer_syntax
    try:
        encoded = encoded_frame(elements, attributes)
        # Dispatch counts on it that an object with such a transfer syntax keeps no decoder busy.
        if encoded.encoding is not Encoding.NATIVE and not syntax.is_encapsulated:
            raise Undecodable("it is compressed, which this transfer syntax is not; export it with the one it is in")
        if encoded.encoding is Encoding.CODESTREAM:
            raw, precision, notes = _of_codestream(encoded, syntax, attributes)
        elif encoded.encoding is Encoding.RUN_LENGTHS:
            notes = () if syntax == uid.RLELossless else (FrameNote.OTHER_COMPRESSION,)
            precision = Precision(attributes["bits_allocated"])
            raw = SHARED.decode(*RUN_LENGTHS, dict(attributes) | _format(precision), encoded.data)
        else:
            precision, notes = Precision(attributes["bits_allocated"]), ()
            raw = _native(encoded.data, elements, attributes)
        values, found = as_stored(raw, precision, attributes)
    except TwoFrames as error:
        raise InstanceError(InstanceCode.MULTI_FRAME, f"The pixel data has more than one frame: {error}.") from None
    except (Undecodable, DecodingFailed) as error:
        raise InstanceError(
            InstanceCode.UNDECODABLE_PIXEL_DATA,
            f"The pixel data ({syntax.name}) cannot be decoded: {error}.",
            of_this_machine=isinstance(error, NoDecoder),
        ) from None
    return Frame(values, (*encoded.notes, *notes, *found))


def _of_codestream(
    encoded: Encoded, syntax: uid.UID, attributes: Mapping[str, Any]
) -> tuple[npt.NDArray[np.integer[Any]], Precision, tuple[FrameNote, ...]]:
    """Return the pixels as the codestream has them, their precision, and the notes."""
    stream, notes = _whole_codestream(encoded)
    if stream.family not in TRANSFER_SYNTAXES[syntax]:
        notes = (*notes, FrameNote.OTHER_COMPRESSION)
    _check(stream, attributes)
    precision = Precision(
        stream.bits,
        is_declared=True,
        is_signed=stream.is_signed,
        is_exact=stream.is_lossless,
        has_sign_bit=stream.family in {Family.JPEG_LS, Family.JPEG_2000},
    )
    raw = SHARED.decode(*decoder_of(stream), dict(attributes) | _format(precision), padded(stream.data))
    return raw, precision, notes


def _whole_codestream(encoded: Encoded) -> tuple[Codestream, tuple[FrameNote, ...]]:
    """Return the frame's codestream up to its end marker, though a fragment's length may be wrong."""
    try:
        return read_codestream(encoded.data), ()
    except NoEndMarker:
        if not encoded.rest:
            raise
    try:
        return read_codestream(encoded.rest), (FrameNote.WRONG_LENGTH,)
    except NoEndMarker:
        raise Undecodable(CUT) from None


def decoder_of(stream: Codestream) -> tuple[uid.UID, str]:
    """Return the transfer syntax to decode a codestream by and pydicom's plugin for it.

    The plugin is named for each, so that other installed packages cannot change a pixel.
    """
    if stream.family is Family.JPEG_2000:
        # pylibjpeg returns the grid's corner in the place of an image at an offset.
        return uid.JPEG2000, "pylibjpeg" if stream.is_plain else "gdcm"
    if stream.family is Family.JPEG_LS:
        # GDCM reads no JPEG-LS of 6 or 7 bits, no near-lossless one below 8, and no unusual presets.
        return uid.JPEGLSNearLossless, "gdcm" if stream.bits >= 8 and stream.is_plain else "pyjpegls"
    if stream.family is Family.JPEG_LOSSLESS:
        return uid.JPEGLossless, gdcm_plugin.NAME
    return {EXTENDED: uid.JPEGExtended12Bit}.get(stream.marker, uid.JPEGBaseline8Bit), gdcm_plugin.NAME


def padded(data: bytes) -> bytes:
    """Return ``data`` with an even length, as a fragment has."""
    return data + bytes(len(data) % 2)


def _format(precision: Precision) -> dict[str, int]:
    """Return the decoder's options for pixels as a codestream has them."""
    return {
        "bits_allocated": 8 * precision.bytes,
        "bits_stored": precision.bits,
        "pixel_representation": int(precision.is_signed),
    }


def _check(stream: Codestream, attributes: Mapping[str, Any]) -> None:
    """Raise Undecodable where header and codestream contradict each other and neither can be believed."""
    declared = stream.rows, stream.columns, stream.components
    if declared != (attributes["rows"], attributes["columns"], 1):
        raise Undecodable(
            f"its codestream is {stream.rows} x {stream.columns} with {stream.components} components, "
            f"the header says {attributes['rows']} x {attributes['columns']} with 1"
        )
    if stream.bits > attributes["bits_allocated"]:  # decoders then return the lowest bits of each pixel, silently
        raise Undecodable(
            f"its codestream has pixels of {stream.bits} bits, the header allocates {attributes['bits_allocated']}"
        )
    if stream.is_signed and not attributes["pixel_representation"]:  # values below zero would be read as large ones
        raise Undecodable("its codestream has signed pixels, the header says that they are unsigned")
    if stream.family is Family.JPEG and stream.bits not in LOSSY_BITS:  # decoders do not agree on its values
        raise Undecodable(f"its lossy codestream has pixels of {stream.bits} bits, where JPEG has 8 or 12")
    if stream.family is Family.JPEG and stream.bits == 8 < attributes["bits_stored"]:  # the scale is lost
        raise Undecodable(
            f"its lossy codestream has pixels of 8 bits, the header says that {attributes['bits_stored']} are stored"
        )


def _native(data: bytes, elements: Elements, attributes: Mapping[str, Any]) -> npt.NDArray[np.integer[Any]]:
    """Return native pixels as unsigned numbers."""
    rows, columns = attributes["rows"], attributes["columns"]
    is_big_endian = not elements.transfer_syntax.is_little_endian
    if attributes["bits_allocated"] == 16:
        values = np.frombuffer(data, ">u2" if is_big_endian else "<u2").astype(np.uint16, copy=False)
    elif is_big_endian and elements.pixel_data_vr == b"OW":  # words of two pixels each, the first one lowest
        values = np.frombuffer(padded(data), np.uint16).byteswap().view(np.uint8)
    else:
        values = np.frombuffer(data, np.uint8)
    return values[: rows * columns].reshape(rows, columns)
