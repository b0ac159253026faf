"""Pixel data in the transfer syntaxes that chest CT arrives in; every one of them is lossless."""

from __future__ import annotations

import gdcm
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

_CODECS = {
    RLELossless: gdcm.TransferSyntax.RLELossless,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
}

TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    *_CODECS,
)
"""Every transfer syntax that a phantom can be written in."""


def pixel_data(stored: np.ndarray, bits: int, transfer_syntax: str) -> bytes:
    """Return the value of PixelData for ``stored`` (rows x columns, 16 bits of which ``bits`` are used).

    Raises ValueError for a transfer syntax not in TRANSFER_SYNTAXES.
    """
    if transfer_syntax not in TRANSFER_SYNTAXES:
        known = ", ".join(TRANSFER_SYNTAXES)
        raise ValueError(f"phantoms are not written in transfer syntax {transfer_syntax!r}; choose one of {known}")
    codec = _CODECS.get(UID(transfer_syntax))
    return stored.tobytes() if codec is None else encapsulate([_compressed(stored, bits, codec)])


def _compressed(stored: np.ndarray, bits: int, codec: int) -> bytes:
    # Keep the writer in scope: GDCM counts references to its image.
    writer = gdcm.ImageWriter()
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stored.shape[1], stored.shape[0], 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(stored.dtype.kind == "i")))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(stored.tobytes())
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(codec))
    change.SetInput(image)
    if not change.Change():
        raise RuntimeError(f"GDCM could not compress a {stored.shape} image of {bits} bits with codec {codec}")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    # GDCM's Python binding returns binary as str with surrogate escapes.
    return bytes(fragments.GetFragment(0).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape"))
