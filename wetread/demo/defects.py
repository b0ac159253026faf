"""Real-world defects: objects that cannot be read, or only after a repair, each made from a good one.

A good one is a phantom in Explicit VR Little Endian. ``DEFECTS`` says for each what the service must answer.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import DataElement, dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    SecondaryCaptureImageStorage,
)

from functions.domain.errors import RefusalCode
from functions.domain.row import Status

UNDECODABLE = "UndecodablePixelData"
"""The container's error code for pixel data that its decoders reject."""


@dataclass(frozen=True)
class Defect:
    """One defect: ``spoil`` makes the bad bytes; the row must end in ``status`` with ``code`` (None when repaired)."""

    name: str
    status: Status
    code: str | None
    spoil: Callable[[bytes], bytes]


def oversize(good: bytes, path: Path, object_bytes: int) -> None:
    """Write ``good`` to ``path``, lengthened to ``object_bytes`` bytes by a hole that takes no disk space."""
    with path.open("wb") as file:
        file.write(good)
        file.truncate(object_bytes)


def _edited(good: bytes, edit: Callable[[FileDataset], None]) -> bytes:
    dataset = dcmread(io.BytesIO(good))
    edit(dataset)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def _edit(edit: Callable[[FileDataset], None]) -> Callable[[bytes], bytes]:
    return lambda good: _edited(good, edit)


def _set(**values: object) -> Callable[[bytes], bytes]:
    """Set attributes by keyword; None deletes one."""

    def edit(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return _edit(edit)


def _cut_in_header(good: bytes) -> bytes:
    study = str(dcmread(io.BytesIO(good), stop_before_pixels=True).StudyInstanceUID).encode()
    return good[: good.index(study) + len(study) // 2]


def _cut_in_pixels(good: bytes) -> bytes:
    pixels = len(dcmread(io.BytesIO(good)).PixelData)
    return good[: len(good) - pixels // 2]


def _secondary_capture(dataset: FileDataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage


def _two_frames(dataset: FileDataset) -> None:
    dataset.NumberOfFrames = 2
    dataset.PixelData = dataset.PixelData * 2


def _film(dataset: FileDataset) -> None:
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    dataset.PixelData = encapsulate([dataset.PixelData])
    dataset["PixelData"].is_undefined_length = True


def _damaged_frame(dataset: FileDataset) -> None:
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encapsulate([bytes(4096)])
    dataset["PixelData"].is_undefined_length = True


def _damaged_deflate(good: bytes) -> bytes:
    def edit(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    deflated = _edited(good, edit)
    # Preamble, "DICM" and the 12 bytes of the group length, with the length of the rest of the meta information.
    body = 128 + 4 + 12 + int.from_bytes(deflated[140:144], "little")
    return deflated[:body] + b"\xff" * (len(deflated) - body)


def _without_uids(dataset: FileDataset) -> None:
    dataset.SOPInstanceUID = ""
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")


def _uuid_identifiers(dataset: FileDataset) -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        text = str(uuid.uuid5(uuid.NAMESPACE_OID, str(dataset[keyword].value)))
        dataset[keyword] = DataElement(keyword, "UI", text, validation_mode=pydicom.config.IGNORE)


def _refused(name: str, code: RefusalCode, spoil: Callable[[bytes], bytes]) -> Defect:
    return Defect(name, Status.REFUSED, code, spoil)


DEFECTS: tuple[Defect, ...] = (
    _refused("empty", RefusalCode.EMPTY, lambda _: b""),
    _refused("text", RefusalCode.NOT_DICOM, lambda _: b"The slices are on the other disc; please call us back.\n" * 9),
    _refused("no-preamble", RefusalCode.NOT_DICOM, lambda good: good[132:]),
    _refused("truncated-header", RefusalCode.TRUNCATED_HEADER, _cut_in_header),
    _refused("damaged-deflate", RefusalCode.UNREADABLE_HEADER, _damaged_deflate),
    _refused("no-pixel-data", RefusalCode.NO_PIXEL_DATA, _set(PixelData=None)),
    _refused("secondary-capture", RefusalCode.SOP_CLASS_NOT_SERVED, _edit(_secondary_capture)),
    _refused("mr", RefusalCode.MODALITY_NOT_SERVED, _set(Modality="MR")),
    _refused("film", RefusalCode.TRANSFER_SYNTAX_NOT_SERVED, _edit(_film)),
    _refused("multi-frame", RefusalCode.MULTI_FRAME_NOT_SERVED, _edit(_two_frames)),
    _refused("no-study-uid", RefusalCode.MISSING_UID, _set(StudyInstanceUID=None)),
    _refused("empty-series-uid", RefusalCode.MISSING_UID, _set(SeriesInstanceUID="")),
    _refused("no-rows", RefusalCode.MISSING_GEOMETRY, _set(Rows=None)),
    Defect("truncated-pixels", Status.FAILED, UNDECODABLE, _cut_in_pixels),
    Defect("damaged-frame", Status.FAILED, UNDECODABLE, _edit(_damaged_frame)),
    Defect("no-instance-uid", Status.COMPLETED, None, _edit(_without_uids)),
    Defect("uuid-uids", Status.COMPLETED, None, _edit(_uuid_identifiers)),
)
"""Every defect of a small object; see ``oversize`` for RefusalCode.TOO_LARGE."""
