"""Tiny CT instances for tests that need a header and little else."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY, SERIES, SOP = "1.2.840.99.1", "1.2.840.99.1.2", "1.2.840.99.1.2.3"


def ct(*, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> bytes:
    """Return a 64x64 axial CT instance as a DICOM file; ``changes`` set attributes by keyword, None removes one."""
    dataset = Dataset()
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": SOP,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "Modality": "CT",
        "PatientID": "P-7",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "Rows": 64,
        "Columns": 64,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": bytes(2 * 64 * 64),
    } | changes
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = values["SOPClassUID"] or CTImageStorage
    meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"] or "1.2.3"
    dataset.file_meta = meta
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True, implicit_vr=None if syntax != "1.2.840.10008.1.2" else True)
    return stream.getvalue()
