"""GDCM's JPEG decoder as a plugin of pydicom's that takes the pixels as bytes.

pydicom's own plugin takes them as GDCM's wrapper gives an image's buffer: as a text, made of bytes that are none, and
made bytes again, which takes most of the time that decoding does. ``python -m benchmarks.decoding`` compares the two.
"""

from __future__ import annotations

import ctypes

import gdcm
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

NAME = "gdcm-bytes"
SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)


def register() -> None:
    """Let pydicom's decoders of SYNTAXES know the plugin by its NAME; once in a process."""
    for syntax in SYNTAXES:
        get_decoder(syntax).add_plugin(NAME, (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """What pydicom asks of a plugin."""
    return syntax in SYNTAXES


def decode_frame(codestream: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame to the bytes of its stored values; raise ValueError for what GDCM rejects."""
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    # GDCM counts who holds an image, and Python is not counted: a writer holds this one, and nothing is written.
    holder = gdcm.ImageWriter()
    _describe(holder.GetImage(), codestream, runner)
    change.SetInput(holder.GetImage())
    if not change.Change():
        raise ValueError("GDCM does not decode it")
    # Each is a part of the one before, and only the first keeps them all.
    image = change.GetOutput()
    element = image.GetDataElement()
    value = element.GetByteValue()
    if value is None:
        raise ValueError("GDCM decodes it to nothing")
    # The wrapper turns a length to no number, only to the text of one.
    return ctypes.string_at(int(value.GetVoidPointer()), int(str(value.GetLength())))


def _describe(image: gdcm.Image, codestream: bytes, runner: DecodeRunner) -> None:
    """Make ``image`` the compressed frame, described as the DICOM object describes it."""
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
