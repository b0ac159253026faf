"""GDCM's JPEG decoder as a plugin of pydicom that reads the pixels as bytes.

pydicom's own plugin reads them as GDCM's wrapper returns an image's buffer: as a str with surrogate escapes, which it
then re-encodes. That takes most of the decoding time. ``python -m benchmarks.decoding`` compares the two.
"""

from __future__ import annotations

import ctypes

import gdcm
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

NAME = "gdcm-bytes"
SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)


def register() -> None:
    """Add the plugin to pydicom's decoders of SYNTAXES by its NAME; call once in a process."""
    for syntax in SYNTAXES:
        get_decoder(syntax).add_plugin(NAME, (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """Return whether the plugin decodes ``syntax``, as pydicom asks of it."""
    return syntax in SYNTAXES


def decode_frame(codestream: bytes, runner: DecodeRunner) -> bytes:
    """Return the bytes of one frame's stored values; raises ValueError for a frame that GDCM rejects."""
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    # GDCM counts references to an image, but not Python's: a writer keeps this one alive, and nothing is written.
    holder = gdcm.ImageWriter()
    _describe(holder.GetImage(), codestream, runner)
    change.SetInput(holder.GetImage())
    if not change.Change():
        raise ValueError("GDCM does not decode it")
    # Each is a part of the previous object, and only the first keeps them all alive.
    image = change.GetOutput()
    element = image.GetDataElement()
    value = element.GetByteValue()
    if value is None:
        raise ValueError("GDCM decodes it to nothing")
    # The wrapper converts a length only to text.
    return ctypes.string_at(int(value.GetVoidPointer()), int(str(value.GetLength())))


def _describe(image: gdcm.Image, codestream: bytes, runner: DecodeRunner) -> None:
    """Fill ``image`` with the compressed frame and the DICOM object's description of it."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    photometric = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(photometric))
    stored = runner.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, runner.bits_allocated, stored, stored - 1, runner.pixel_representation))
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(runner.transfer_syntax))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetDataElement(element)
