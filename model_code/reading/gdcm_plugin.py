"""GDCM's JPEG decoder, asked for the pixels as bytes.

pydicom's plugin reads them as GDCM's wrapper returns an image's buffer: as a str with surrogate escapes, which it then
re-encodes. That takes as long as decoding. ``python -m benchmarks.decoding`` compares the two.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import gdcm
from pydicom import uid

NAME = "gdcm-bytes"
SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)


def decode_frame(codestream: bytes, syntax: str, attributes: Mapping[str, Any]) -> bytes:
    """Return the bytes of one frame's stored values, as many as ``attributes``, pydicom's options, say.

    Raises RuntimeError, as pydicom does for its plugins, for a frame that GDCM rejects.
    """
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    # GDCM counts references to an image, but not Python's: a writer keeps this one alive, and nothing is written.
    holder = gdcm.ImageWriter()
    _describe(holder.GetImage(), codestream, syntax, attributes)
    change.SetInput(holder.GetImage())
    if not change.Change():
        raise RuntimeError("GDCM does not decode it")
    # Each is a part of the previous object, and only the first keeps them all alive.
    image = change.GetOutput()
    element = image.GetDataElement()
    value = element.GetByteValue()
    length = attributes["rows"] * attributes["columns"] * attributes["bits_allocated"] // 8
    # The wrapper converts a length only to text.
    if value is None or int(str(value.GetLength())) != length:
        raise RuntimeError("GDCM decodes it to nothing, or to another number of pixels")
    return ctypes.string_at(int(value.GetVoidPointer()), length)


def _describe(image: gdcm.Image, codestream: bytes, syntax: str, attributes: Mapping[str, Any]) -> None:
    """Fill ``image`` with the compressed frame and the DICOM object's description of it."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image.SetNumberOfDimensions(2)
    image.SetDimensions((attributes["columns"], attributes["rows"], 1))
    photometric = gdcm.PhotometricInterpretation.GetPIType(attributes["photometric_interpretation"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(photometric))
    allocated, stored = attributes["bits_allocated"], attributes["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, stored, stored - 1, attributes["pixel_representation"]))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetDataElement(element)
