"""The DICOM attributes that the service reads: is an object a picture that it serves, and where is it in its series?

Tags by keyword, as in DICOM PS3.6; a test compares them with a dictionary. The values of all other elements are
skipped unread.
"""

from __future__ import annotations

META: dict[str, int] = {
    "MediaStorageSOPClassUID": 0x00020002,
    "MediaStorageSOPInstanceUID": 0x00020003,
    "TransferSyntaxUID": 0x00020010,
}
IDENTITY: dict[str, int] = {
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "Modality": 0x00080060,
    "PatientID": 0x00100020,
    "IssuerOfPatientID": 0x00100021,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
}
PICTURE: dict[str, int] = {
    "ImageType": 0x00080008,
    "SyntheticData": 0x0008001C,
    "PatientOrientation": 0x00200020,
    "ImageOrientationPatient": 0x00200037,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BurnedInAnnotation": 0x00280301,
}
PLACE: dict[str, int] = {
    "AcquisitionNumber": 0x00200012,
    "InstanceNumber": 0x00200013,
    "ImagePositionPatient": 0x00200032,
    "QualityControlImage": 0x00280300,
}
