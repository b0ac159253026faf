"""Objects as scanners, archives and people send them, made from one phantom, each with its right answer."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom import config, uid
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame

from functions.domain.row import Status
from wetread.demo.phantoms import phantom

SIZE = 128
PIXELS = b"\xe0\x7f\x10\x00"
DIRECTIONS = {
    "prone": ([-1, 0, 0, 0, -1, 0], lambda stored: stored[::-1, ::-1]),
    "mirrored": ([-1, 0, 0, 0, 1, 0], lambda stored: stored[:, ::-1]),
    "flipped": ([1, 0, 0, 0, -1, 0], lambda stored: stored[::-1]),
    "transposed": ([0, 1, 0, 1, 0, 0], lambda stored: stored.T),
}


@dataclass(frozen=True)
class Expected:
    """The right answer: the row's status and code; ``note`` is a part of a sentence that it must have.

    A Completed object has the probabilities of the phantom that it was made from.
    """

    status: Status
    code: str | None = None
    note: str = ""


SAME = Expected(Status.COMPLETED)


def made(transfer_syntax: str = uid.ExplicitVRLittleEndian) -> FileDataset:
    """Return the phantom."""
    return phantom("covid", 3, 0, size=SIZE, transfer_syntax=transfer_syntax)


def written(dataset: FileDataset, **changes: Any) -> bytes:
    """Return the file of a dataset with attributes replaced, whatever DICOM allows; None removes one."""
    for keyword, value in changes.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            vr = pydicom.datadict.dictionary_VR(keyword).split(" ")[0]
            dataset[keyword] = DataElement(keyword, vr, value, validation_mode=config.IGNORE)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=False)
    return stream.getvalue()


def stored(dataset: FileDataset) -> np.ndarray:
    """Return the phantom's stored values, a copy."""
    values: np.ndarray = dataset.pixel_array.copy()
    return values


def with_pixels(values: np.ndarray, **changes: Any) -> bytes:
    """Return the phantom with other stored values, as many bytes each as ``values`` has."""
    dataset = made()
    content = np.ascontiguousarray(values).tobytes()
    return written(
        dataset,
        Rows=values.shape[0],
        Columns=values.shape[1],
        PixelData=content + b"\0" * (len(content) % 2),
        **changes,
    )


def before_pixels(body: bytes, element: bytes) -> bytes:
    """Return an object with the bytes of one more element before its pixel data."""
    at = body.rindex(PIXELS)
    return body[:at] + element + body[at:]


def of_text(body: bytes, tag: bytes, vr: bytes, value: bytes, before: bytes) -> bytes:
    """Return an object with one element more, in Explicit VR with a length of two bytes, before another one."""
    value += b" " * (len(value) % 2)
    at = body.index(before)
    return body[:at] + tag + vr + struct.pack("<H", len(value)) + value + body[at:]


def codestream(transfer_syntax: str) -> bytes:
    """Return the phantom's codestream in a compressed transfer syntax."""
    return get_frame(made(transfer_syntax).PixelData, 0, number_of_frames=1)


def in_fragments(transfer_syntax: str, *streams: bytes) -> bytes:
    """Return the phantom with these fragments under the transfer syntax."""
    dataset = made(uid.JPEGLosslessSV1)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.PixelData = encapsulate([streams[0]]) if len(streams) == 1 else encapsulate(list(streams), has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def followed_by(transfer_syntax: str, padding: bytes) -> bytes:
    """Return the phantom with bytes behind its codestream."""
    return in_fragments(transfer_syntax, codestream(transfer_syntax) + padding)


def turned(name: str) -> bytes:
    """Return the phantom stored in other directions, with an orientation that says so."""
    directions, turn = DIRECTIONS[name]
    return with_pixels(turn(stored(made())), ImageOrientationPatient=directions)


def greys() -> np.ndarray:
    """Return the phantom as a picture of 8 bits in the lung window."""
    hounsfield = stored(made()) * float(made().RescaleSlope) + float(made().RescaleIntercept)
    return np.clip((hounsfield + 1350) / 1500 * 255, 0, 255).astype(np.uint8)


def group_length(body: bytes) -> bytes:
    """Return an object with a group length before its pixel data."""
    return before_pixels(body, b"\xe0\x7f\x00\x00UL\x04\x00" + struct.pack("<L", 4096))


def zipped() -> bytes:
    """Return a ZIP archive of the phantom."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("IM1.dcm", written(made()))
    return stream.getvalue()


def rows_as_long() -> bytes:
    """Return the phantom with Rows as UL."""
    body = written(made())
    at = body.index(b"\x28\x00\x10\x00US")
    return body[:at] + b"\x28\x00\x10\x00UL\x04\x00" + struct.pack("<L", SIZE) + body[at + 10 :]


BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "RescaleIntercept": "0"}
FILES: dict[str, tuple[Callable[[], bytes], Expected]] = {
    "as it is": (lambda: written(made()), SAME),
    "group length before pixels": (lambda: group_length(written(made())), SAME),
    "group length before a codestream": (lambda: group_length(written(made(uid.JPEGLosslessSV1))), SAME),
    "FF behind a JPEG": (
        lambda: in_fragments(uid.JPEGLosslessSV1, codestream(uid.JPEGLosslessSV1) + b"\xff\xff"),
        SAME,
    ),
    "blanks behind JPEG 2000": (
        lambda: in_fragments(uid.JPEG2000Lossless, codestream(uid.JPEG2000Lossless) + b"  "),
        SAME,
    ),
    "JPEG 2000 named JPEG": (
        lambda: in_fragments(uid.JPEGLosslessSV1, codestream(uid.JPEG2000Lossless)),
        Expected(Status.COMPLETED, note="names another compression"),
    ),
    "native pixels in a fragment": (
        lambda: in_fragments(uid.ExplicitVRLittleEndian, made().PixelData),
        Expected(Status.COMPLETED, note="in fragments"),
    ),
    **{name: (lambda name=name: turned(name), Expected(Status.COMPLETED, note="turned")) for name in DIRECTIONS},
    "unknown VR": (
        lambda: before_pixels(written(made()), b"\x00\x50\x11\x11??\0\0" + struct.pack("<L", 4) + b"text"),
        SAME,
    ),
    "frames 01": (lambda: of_text(written(made()), b"\x28\x00\x08\x00", b"IS", b"01", b"\x28\x00\x10\x00US"), SAME),
    "frames +1": (lambda: of_text(written(made()), b"\x28\x00\x08\x00", b"IS", b"+1", b"\x28\x00\x10\x00US"), SAME),
    "frames 1.0": (lambda: of_text(written(made()), b"\x28\x00\x08\x00", b"IS", b"1.0", b"\x28\x00\x10\x00US"), SAME),
    "Rows as UL": (rows_as_long, SAME),
    "codes in small letters": (
        lambda: written(made(), Modality="ct", PhotometricInterpretation="monochrome2", RescaleType="hu"),
        SAME,
    ),
    "identifiers of a data set": (
        lambda: written(made(), StudyInstanceUID="ID_c5c23af94d", SeriesInstanceUID="6897fa9de148"),
        Expected(Status.COMPLETED, note="mapped under 2.25"),
    ),
    "no class and no modality": (
        lambda: written(made(), SOPClassUID=None, Modality=None),
        Expected(Status.COMPLETED, note="by the SOP class"),
    ),
    "no orientation": (
        lambda: written(made(), ImageOrientationPatient=None),
        Expected(Status.COMPLETED, note="ImageOrientationPatient"),
    ),
    "derived": (
        lambda: written(made(), ImageType=["DERIVED", "SECONDARY"]),
        Expected(Status.COMPLETED, note="plain slice"),
    ),
    "another part of the body": (
        lambda: written(made(), BodyPartExamined="HEAD"),
        Expected(Status.COMPLETED, note="BodyPartExamined"),
    ),
    "localizer": (
        lambda: written(made(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        Expected(Status.REFUSED, "LocalizerNotServed"),
    ),
    "coronal": (
        lambda: written(made(), ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        Expected(Status.REFUSED, "PlaneNotServed"),
    ),
    "MIP": (
        lambda: written(made(), ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"]),
        Expected(Status.REFUSED, "DerivedNotServed"),
    ),
    "screen save": (
        lambda: with_pixels(greys(), ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"], **BITS),
        Expected(Status.REFUSED, "ScreenSaveNotServed"),
    ),
    "iodine map": (
        lambda: written(made(), ImageType=["DERIVED", "PRIMARY", "AXIAL", "IODINE_MAP"]),
        Expected(Status.REFUSED, "NotHounsfield"),
    ),
    "thumbnail": (lambda: with_pixels(stored(made())[::4, ::4]), Expected(Status.REFUSED, "TooFewPixels")),
    "no rows": (lambda: written(made(), Rows=None), Expected(Status.REFUSED, "MissingGeometry")),
    "gzip": (lambda: gzip.compress(written(made())), Expected(Status.REFUSED, "NotDicom", "gzip")),
    "ZIP": (zipped, Expected(Status.REFUSED, "NotDicom", "ZIP")),
    "no pixels": (lambda: written(made(), PixelData=None), Expected(Status.REFUSED, "NoPixelData")),
    "grey levels": (lambda: with_pixels(greys(), **BITS), Expected(Status.FAILED, "NotHounsfield")),
    "constant": (
        lambda: with_pixels(np.full((SIZE, SIZE), 1000, np.int16)),
        Expected(Status.FAILED, "ConstantPicture"),
    ),
    "JPEG without its end": (
        lambda: in_fragments(uid.JPEGLosslessSV1, codestream(uid.JPEGLosslessSV1).rstrip(b"\0")[:-2]),
        Expected(Status.FAILED, "UndecodablePixelData", "end marker"),
    ),
    "two codestreams": (
        lambda: in_fragments(uid.JPEGLosslessSV1, *[codestream(uid.JPEGLosslessSV1)] * 2),
        Expected(Status.FAILED, "MultiFrame"),
    ),
}
