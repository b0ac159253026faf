"""Decodes the bytes of one CT slice to Hounsfield units, or raises an error with a code that says why not.

MONOCHROME1 changes nothing here: it means that low values are *shown* white. The Hounsfield unit of a stored value is
the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model_code.errors import InstanceCode, InstanceError
from model_code.reading.elements import Elements, is_uid, read_elements
from model_code.reading.frame import TRANSFER_SYNTAXES, stored_values
from model_code.reading.frame_notes import FrameNote
from model_code.reading.hounsfield import MAX_STORED, HounsfieldArray, rescale, term
from untrusted import picture
from untrusted.sop_classes import modality_of_sop_class

KEYWORDS = (
    "SOPClassUID",
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
    "ImageType",
    "SyntheticData",
    "PatientOrientation",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "PixelAspectRatio",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "BodyPartExamined",
    "BurnedInAnnotation",
)
# 4096 x 4096 is four times the largest CT matrix in use; as float32 it takes 64 MiB.
MAX_PIXELS = 4096 * 4096
WHOLE_IN_FLOAT32 = 2**24  # all whole numbers up to it have a value of their own in single precision
# The values that DICOM defines (PS3.3 section C.7.6.3.1.2). Messages repeat these and no other text of an object, which
# may name a person.
PHOTOMETRIC = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB"}
    | {f"YBR_{one}" for one in ("FULL", "FULL_422", "PARTIAL_422", "PARTIAL_420", "ICT", "RCT")}
)


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
    return decoded(elements)[0]


def decoded(elements: Elements) -> tuple[HounsfieldArray, tuple[FrameNote, ...]]:
    """Return what ``decode`` returns, and what was assumed of the frame."""
    attributes = _pixel_attributes(elements)
    slope, intercept = rescale(elements)
    frame = stored_values(elements, attributes)
    return _rescaled(frame.values, slope, intercept), frame.notes


def _rescaled(values: npt.NDArray[np.integer[Any]], slope: float, intercept: float) -> HounsfieldArray:
    """Return the values in Hounsfield units, as double precision gives them, rounded to single.

    Whole numbers that single precision holds are the same in either, and half of the work.
    """
    is_whole = slope.is_integer() and intercept.is_integer()
    if is_whole and abs(slope) * MAX_STORED + abs(intercept) <= WHOLE_IN_FLOAT32:
        hounsfield: HounsfieldArray = np.multiply(values, np.float32(slope), dtype=np.float32)
        hounsfield += np.float32(intercept)
        return hounsfield
    return (values * slope + intercept).astype(np.float32)


def check_object(elements: Elements) -> None:
    """Raise InstanceError unless the object is a CT of one frame in a transfer syntax that is decoded here."""
    modality = elements.code("Modality")
    if modality not in {"", "CT"}:
        raise InstanceError(InstanceCode.UNSUPPORTED_MODALITY, "The Modality is not CT; this model reads CT.")
    of_class = modality_of_sop_class(elements.header)
    if of_class not in {"", "CT"}:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_MODALITY, f"The SOP class is that of {of_class} images; this model reads CT."
        )
    if elements.transfer_syntax not in TRANSFER_SYNTAXES:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"The transfer syntax {elements.transfer_syntax.name} ({elements.transfer_syntax}) is not decoded here.",
        )
    if elements.pixel_data is None:
        raise InstanceError(InstanceCode.NO_PIXEL_DATA, elements.no_pixel_data)
    if picture.frames(elements.header) != 1:
        raise InstanceError(InstanceCode.MULTI_FRAME, "NumberOfFrames is not 1; only one frame is read.")


def _pixel_attributes(elements: Elements) -> dict[str, Any]:
    """Check the Image Pixel attributes (PS3.3 C.7.6.3) and return them as the decoder's options."""
    check_object(elements)
    samples, photometric = elements.number("SamplesPerPixel"), elements.code("PhotometricInterpretation")
    if samples != 1 or photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise InstanceError(
            InstanceCode.UNSUPPORTED_PHOTOMETRIC,
            f"SamplesPerPixel {samples} with PhotometricInterpretation {term(photometric, PHOTOMETRIC)} is not a "
            "greyscale slice.",
        )
    rows, columns = (max(elements.number(keyword) or 0, 0) for keyword in ("Rows", "Columns"))
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
