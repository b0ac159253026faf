"""Decodes the bytes of one CT slice to Hounsfield units, or raises an error with a code that says why not.

HU = stored value x RescaleSlope + RescaleIntercept. MONOCHROME1 changes nothing here: it means that low values are
*shown* white, while the Hounsfield unit of a stored value is the same.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from model_code.errors import InstanceCode, InstanceError
from model_code.reading import gdcm_plugin
from model_code.reading.codestream import declared_pixels, frame_size
from model_code.reading.decoder_process import SHARED, DecodingFailed
from model_code.reading.elements import Elements, is_uid, read_elements
from untrusted import picture
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
KEYWORDS = (
    "SOPInstanceUID",
    "Modality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
)
# 4096 x 4096 is four times the largest CT matrix in use; as float32 it takes 64 MiB.
MAX_PIXELS = 4096 * 4096
# US is "unspecified", which scanners write for plain CT too; any other type is a derived map, not a CT number.
HOUNSFIELD_TYPES = frozenset({"", "HU", "US"})
# The values that DICOM defines (PS3.3 sections C.11.1.1.2 and C.7.6.3.1.2). Messages repeat these and no other text of
# an object, which may name a person.
RESCALE_TYPES = frozenset({"HU", "US", "OD", "HU_MOD", "PCT", "Z_EFF", "ED", "EDW", "MGML"})
PHOTOMETRIC = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB"}
    | {f"YBR_{one}" for one in ("FULL", "FULL_422", "PARTIAL_422", "PARTIAL_420", "ICT", "RCT")}
)
MAX_STORED = 0xFFFF  # the largest magnitude of a stored value of 16 bits
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAX_FLOAT32 = float(np.finfo(np.float32).max)
ITEM, ITEM_HEADER = b"\xfe\xff\x00\xe0", 8
# Of one frame, with the offset table. Most encoders write one or two, some one for each 64 KB or less.
MOST_FRAGMENTS = 50_000

HounsfieldArray = npt.NDArray[np.float32]


def read_instance(body: bytes) -> Elements:
    """Return the elements that identify and describe the slice in ``body``; raises InstanceError if it is not DICOM."""
    return read_elements(body, KEYWORDS)


def sop_instance_uid(elements: Elements) -> str:
    """Return the slice's SOPInstanceUID, "" if it is absent or invalid."""
    text = elements.uid("SOPInstanceUID")
    return text if is_uid(text) else ""


def decode(elements: Elements) -> HounsfieldArray:
    """Return the slice in Hounsfield units, float32, shaped rows x columns as DICOM orders them.

    Raises InstanceError with the code of what is missing, unsupported or damaged.
    """
    attributes = _pixel_attributes(elements)
    slope, intercept = _rescale(elements)
    stored = _stored_values(elements, attributes)
    return (stored * slope + intercept).astype(np.float32)


def _pixel_attributes(elements: Elements) -> dict[str, Any]:
    """Check the Image Pixel attributes (PS3.3 C.7.6.3) and return them as the decoder's options."""
    modality = elements.code("Modality")
    if modality not in {"", "CT"}:
        raise InstanceError(InstanceCode.UNSUPPORTED_MODALITY, "The Modality is not CT; this model reads CT.")
    if elements.transfer_syntax not in DECODING_PLUGINS:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The transfer syntax {elements.transfer_syntax.name} ({elements.transfer_syntax}) is not decoded here.",
        )
    if elements.pixel_data is None:
        raise InstanceError(InstanceCode.NO_PIXEL_DATA, elements.no_pixel_data)
    if picture.frames(elements.header) != 1:
        raise InstanceError(InstanceCode.MULTI_FRAME, "NumberOfFrames is not 1; only one frame is read.")
    samples, photometric = elements.number("SamplesPerPixel"), elements.code("PhotometricInterpretation")
    if samples != 1 or photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_PHOTOMETRIC,
            f"SamplesPerPixel {samples} with PhotometricInterpretation {_term(photometric, PHOTOMETRIC)} is not a "
            "greyscale slice.",
        )
    rows, columns = elements.number("Rows") or 0, elements.number("Columns") or 0
    if not 0 < rows * columns <= MAX_PIXELS:
        raise InstanceError(
            InstanceCode.TOO_MANY_PIXELS, f"Rows x Columns is {rows} x {columns}; 1 to {MAX_PIXELS} pixels are read."
        )
    return {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": photometric,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        **_bits(elements),
    }


def _bits(elements: Elements) -> dict[str, int]:
    allocated, stored = elements.number("BitsAllocated"), elements.number("BitsStored")
    high, signed = elements.number("HighBit"), elements.number("PixelRepresentation")
    readable = allocated in {8, 16} and stored is not None and 0 < stored <= allocated and signed in {0, 1}
    if not readable or allocated is None or stored is None or signed is None or high not in {None, stored - 1}:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_PIXEL_FORMAT,
            f"BitsAllocated {allocated}, BitsStored {stored}, HighBit {high}, PixelRepresentation {signed} is not "
            "read; 8 or 16 bits allocated with the stored bits lowest are.",
        )
    return {"bits_allocated": allocated, "bits_stored": stored, "pixel_representation": signed}


def _rescale(elements: Elements) -> tuple[float, float]:
    slope, intercept = _number(elements.text("RescaleSlope")), _number(elements.text("RescaleIntercept"))
    rescale_type = elements.text("RescaleType")
    # Phrased so that NaN fails the test; no stored value may become infinite.
    finite = abs(slope) * MAX_STORED + abs(intercept) <= MAX_FLOAT32
    if not (finite and slope != 0 and rescale_type in HOUNSFIELD_TYPES):
        raise InstanceError(
            InstanceCode.NOT_HOUNSFIELD,
            f"RescaleSlope ({_kind(slope)}), RescaleIntercept ({_kind(intercept)}) and RescaleType "
            f"({_term(rescale_type, RESCALE_TYPES)}) do not give Hounsfield units.",
        )
    return slope, intercept


def _number(text: str) -> float:
    """A decimal string (DICOM PS3.5 section 6.2) as a number; Python also reads underscores in one, and words."""
    return float(text) if DECIMAL.fullmatch(text) else math.nan


def _kind(value: float) -> str:
    """Return how a message describes a number without its digits, which may identify a person."""
    if math.isnan(value):
        return "absent or no number"
    return "zero" if value == 0 else "a number" if abs(value) <= MAX_FLOAT32 / MAX_STORED else "too large"


def _term(text: str, defined: frozenset[str]) -> str:
    return text if text in defined else "no valid value" if text else "absent"


def _stored_values(elements: Elements, attributes: dict[str, Any]) -> npt.NDArray[np.integer[Any]]:
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
