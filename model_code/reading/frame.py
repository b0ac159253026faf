"""Reads the stored values of a slice's one frame from its Pixel Data, native or compressed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from model_code.errors import InstanceCode, InstanceError
from model_code.reading import gdcm_plugin
from model_code.reading.codestream import declared_pixels, frame_size
from model_code.reading.decoder_process import SHARED, DecodingFailed
from model_code.reading.elements import Elements
from untrusted.walker import UNDEFINED_LENGTH

# The decoder is named for each syntax, so that other installed packages cannot change a pixel.
DECODING_PLUGINS: dict[uid.UID, str] = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.DeflatedExplicitVRLittleEndian: "",
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: gdcm_plugin.NAME,
    uid.JPEGLossless: gdcm_plugin.NAME,
    uid.JPEGLosslessSV1: gdcm_plugin.NAME,
    uid.JPEGLSLossless: "gdcm",
    uid.JPEGLSNearLossless: "gdcm",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
}
ITEM, ITEM_HEADER = b"\xfe\xff\x00\xe0", 8
# Of one frame, with the offset table. Most encoders write one or two, some one for each 64 KB or less.
MOST_FRAGMENTS = 50_000


def stored_values(elements: Elements, attributes: dict[str, Any]) -> npt.NDArray[np.integer[Any]]:
    """Return the decoded pixel data, rows x columns, signed and masked as the attributes say."""
    syntax = elements.transfer_syntax
    plugin = DECODING_PLUGINS[syntax]
    if syntax.is_encapsulated:
        codestream = _codestream(elements, attributes)
        try:
            return SHARED.decode(syntax, plugin, attributes, codestream)
        except DecodingFailed as error:
            raise _undecodable(syntax, str(error)) from None
    values, _ = get_decoder(syntax).as_array(
        _native(elements, attributes), index=0, raw=True, validate=False, decoding_plugin=plugin, **attributes
    )
    return values


def _native(elements: Elements, attributes: dict[str, Any]) -> bytes:
    """Return the bytes of the frame without padding."""
    needed = attributes["rows"] * attributes["columns"] * attributes["bits_allocated"] // 8
    held = min(len(elements.pixel_data or b""), elements.pixel_data_length)
    if held < needed:
        raise _undecodable(elements.transfer_syntax, f"it holds {held} of {needed} bytes: it is truncated")
    _check_native_length(elements, needed + needed % 2)
    # An odd frame of 8-bit pixels is padded by one byte, which Explicit VR Big Endian may have swapped before the last.
    return (elements.pixel_data or b"")[: needed + needed % 2]


def _check_native_length(elements: Elements, needed: int) -> None:
    """Refuse pixel data that cannot be one frame of this format: what would be read of it would look like one."""
    syntax, length = elements.transfer_syntax, elements.pixel_data_length
    if length == UNDEFINED_LENGTH:
        raise _undecodable(syntax, "it is in fragments, as compressed frames are")
    if length >= 2 * needed:
        raise _undecodable(syntax, f"it holds {length} bytes: more frames than one of {needed} bytes, or larger pixels")


def _codestream(elements: Elements, attributes: dict[str, Any]) -> bytes:
    """Return the frame's codestream, joined from its fragments and checked against the header (PS3.5 A.4)."""
    data = elements.pixel_data or b""
    fragments: list[bytes] = []
    at = 0
    while data[at : at + len(ITEM)] == ITEM:
        start = at + ITEM_HEADER
        length = int.from_bytes(data[at + len(ITEM) : start], "little")
        if start + length > len(data):
            raise _undecodable(elements.transfer_syntax, "a fragment goes beyond the end of the file: it is truncated")
        fragments.append(data[start : start + length])
        if len(fragments) > MOST_FRAGMENTS:
            raise _undecodable(elements.transfer_syntax, f"it has more than {MOST_FRAGMENTS} fragments")
        at = start + length
    codestream = b"".join(fragments[1:])  # the first item is the Basic Offset Table
    if not codestream:
        raise _undecodable(elements.transfer_syntax, "it holds no fragment")
    if elements.transfer_syntax != uid.RLELossless:
        _check_size(elements.transfer_syntax, codestream, attributes)
    return codestream


def _check_size(syntax: uid.UID, codestream: bytes, attributes: dict[str, Any]) -> None:
    try:
        rows, columns, components = frame_size(codestream)
        bits, signed = declared_pixels(codestream)
    except ValueError as error:
        raise _undecodable(syntax, str(error)) from None
    if (rows, columns, components) != (attributes["rows"], attributes["columns"], 1):
        raise _undecodable(
            syntax,
            f"its codestream is {rows} x {columns} with {components} components, "
            f"the header says {attributes['rows']} x {attributes['columns']} with 1",
        )
    if bits > attributes["bits_allocated"]:  # decoders then return the lowest bits of each pixel, silently
        raise _undecodable(
            syntax, f"its codestream has pixels of {bits} bits, the header allocates {attributes['bits_allocated']}"
        )
    if signed and not attributes["pixel_representation"]:  # values below zero would be read as large ones
        raise _undecodable(syntax, "its codestream has signed pixels, the header says that they are unsigned")


def _undecodable(syntax: uid.UID, what: str) -> InstanceError:
    return InstanceError(
        InstanceCode.UNDECODABLE_PIXEL_DATA, f"The pixel data ({syntax.name}) cannot be decoded: {what}."
    )
