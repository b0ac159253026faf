"""Sound objects in every transfer syntax and pixel format that can be encoded here, as material for defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any

import gdcm
import numpy as np
from pydicom import dcmwrite, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

SECRET = "SECRET"  # in every attribute that a person may have filled; no answer may repeat it
ROWS, COLUMNS = 72, 64
HU = 2048  # from -1024: the values of every format are those of air to bone

_T = gdcm.TransferSyntax
CODECS: dict[uid.UID, int] = {
    uid.RLELossless: _T.RLELossless,
    uid.JPEGBaseline8Bit: _T.JPEGBaselineProcess1,
    uid.JPEGExtended12Bit: _T.JPEGExtendedProcess2_4,
    uid.JPEGLossless: _T.JPEGLosslessProcess14,
    uid.JPEGLosslessSV1: _T.JPEGLosslessProcess14_1,
    uid.JPEGLSLossless: _T.JPEGLSLossless,
    uid.JPEGLSNearLossless: _T.JPEGLSNearLossless,
    uid.JPEG2000Lossless: _T.JPEG2000Lossless,
    uid.JPEG2000: _T.JPEG2000,
}
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
SYNTAXES: tuple[uid.UID, ...] = (*NATIVE, *CODECS, *HTJ2K)


class CannotEncode(Exception):
    """No encoder here makes the object; the message says why."""


@dataclass(frozen=True)
class PixelFormat:
    """What the pixels are: ``changes`` are attributes by keyword."""

    name: str
    kind: str = "u2"
    bits: int = 12
    samples: int = 1
    frames: int = 1
    changes: dict[str, Any] = field(default_factory=dict, hash=False)


PALETTE = {"PhotometricInterpretation": "PALETTE COLOR"} | {
    key: value
    for colour in ("Red", "Green", "Blue")
    for key, value in {
        f"{colour}PaletteColorLookupTableDescriptor": [256, 0, 16],
        f"{colour}PaletteColorLookupTableData": bytes(512),
    }.items()
}
PLAIN = PixelFormat("12-bit")
PIXEL_FORMATS = (
    PixelFormat("8-bit", "u1", 8),
    PLAIN,
    PixelFormat("16-bit", "u2", 16),
    PixelFormat("12-bit-signed", "i2", 12),
    PixelFormat("16-bit-signed", "i2", 16),
    PixelFormat("monochrome1", changes={"PhotometricInterpretation": "MONOCHROME1"}),
    PixelFormat("palette", "u1", 8, changes=PALETTE),
    PixelFormat("rgb", "u1", 8, samples=3, changes={"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}),
    PixelFormat("multi-frame", frames=3, changes={"NumberOfFrames": 3}),
    PixelFormat("enhanced", frames=3, changes={"NumberOfFrames": 3, "SOPClassUID": uid.EnhancedCTImageStorage}),
)


@cache
def good(syntax: uid.UID, pixels: PixelFormat = PLAIN) -> bytes:
    """Return a sound CT object as a DICOM file; raises CannotEncode."""
    frames = _frames(pixels)
    if syntax in HTJ2K:
        raise CannotEncode("no encoder for HTJ2K is installed")
    if syntax.is_encapsulated:
        data = encapsulate([_compressed(frame, pixels, syntax) for frame in frames])
    else:
        swapped = frames.byteswap() if not syntax.is_little_endian else frames
        data = swapped.tobytes()
    return written(syntax, pixels, PixelData=data)


def written(syntax: uid.UID, pixels: PixelFormat = PLAIN, **changes: Any) -> bytes:
    """Return an object with ``pixels`` and ``changes``, including PixelData; None removes an attribute."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    bits = 8 * np.dtype(pixels.kind).itemsize
    values = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": uid.CTImageStorage,
        "SOPInstanceUID": "1.2.840.99.1.2.3",
        "Modality": "CT",
        "PatientName": f"{SECRET}^Jane",
        "PatientID": f"{SECRET}-42",
        "StudyDescription": f"{SECRET} study",
        "StudyInstanceUID": "1.2.840.99.1",
        "SeriesInstanceUID": "1.2.840.99.1.2",
        "SamplesPerPixel": pixels.samples,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": bits,
        "BitsStored": pixels.bits,
        "HighBit": pixels.bits - 1,
        "PixelRepresentation": int(pixels.kind.startswith("i")),
        "RescaleIntercept": "0" if pixels.kind.startswith("i") else "-1024",
        "RescaleSlope": str(HU / 2**pixels.bits),
    }
    for keyword, value in (values | pixels.changes | changes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.840.99.1.2.3"
    dataset.file_meta.TransferSyntaxUID = syntax
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
        dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _frames(pixels: PixelFormat) -> np.ndarray:
    low, high = (
        (-(2 ** (pixels.bits - 1)), 2 ** (pixels.bits - 1)) if pixels.kind.startswith("i") else (0, 2**pixels.bits)
    )
    shape = (pixels.frames, ROWS, COLUMNS) + ((pixels.samples,) if pixels.samples > 1 else ())
    ramp = np.linspace(low, high - 1, int(np.prod(shape)))  # smooth, as a lossy codec of 12 bits needs it
    return ramp.reshape(shape).astype(pixels.kind)


def _compressed(frame: np.ndarray, pixels: PixelFormat, syntax: uid.UID) -> bytes:
    # The image must come from a writer that stays in scope: GDCM counts references to it.
    writer = gdcm.ImageWriter()
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((COLUMNS, ROWS, 1))
    kind = gdcm.PhotometricInterpretation
    image.SetPhotometricInterpretation(kind(kind.RGB if pixels.samples == 3 else kind.MONOCHROME2))
    image.SetTransferSyntax(_T(_T.ImplicitVRLittleEndian))
    allocated = 8 * frame.dtype.itemsize
    signed = int(frame.dtype.kind == "i")
    image.SetPixelFormat(gdcm.PixelFormat(pixels.samples, allocated, pixels.bits, pixels.bits - 1, signed))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(frame.tobytes())
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(_T(CODECS[syntax]))
    change.SetInput(image)
    if not change.Change():
        raise CannotEncode(f"GDCM has no {syntax.name} of {pixels.name}")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    # GDCM's Python binding returns bytes as a str with surrogates.
    buffer: str = fragments.GetFragment(0).GetByteValue().GetBuffer()
    return buffer.encode("utf-8", "surrogateescape")


Spoil = Callable[[bytes], bytes]
