"""Synthetic studies as a scanner sends them: two series, a localizer, and a report of the dose.

Lesions are on a few neighbouring slices of each series: a person is read as ill by these alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, XRayRadiationDoseSRStorage

from wetread.demo.phantoms import LABELS, POSITIONS, encoded, number_at, phantom, uid

SLICES, FEWER = 12, 4
"""Of the two series: thin slices, and the same chest once more in thick ones."""
LESIONS = (0.35, 0.75)
"""Between these levels of the chest slices have lesions, if the patient has any: 0 is the first slice, 1 the last."""
FIRST_PATIENT = 900
"""Other patients than those of any cohort."""
OF_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber")
"""Attributes that all objects of a study share, beside its UID."""


@dataclass(frozen=True)
class PhantomStudy:
    """A written study: its class, and the names of the files that the service refuses since they are no slices."""

    label: str
    study_instance_uid: str
    localizer: str
    report: str


def write_studies(folder: Path, size: int, seed: int) -> list[PhantomStudy]:
    """Write one study of each class into ``folder``."""
    return [write_study(folder, label, size, seed) for label in LABELS]


def write_study(folder: Path, label: str, size: int, seed: int) -> PhantomStudy:
    """Write one study of a class into ``folder``; of a seed, each class has its own patient."""
    folder.mkdir(parents=True, exist_ok=True)
    patient = FIRST_PATIENT + LABELS.index(label)
    root = f"{seed}/study/{label}/{patient}/{size}"
    name = f"study-{label}"
    first = None
    for series, slices in ((1, SLICES), (2, FEWER)):
        for at, dataset in enumerate(_series(label, patient, slices, size, seed), start=1):
            first = first or dataset
            _identify(dataset, root, series, at, first)
            (folder / f"{name}-{series}-{at:02d}.dcm").write_bytes(encoded(dataset))
    assert first is not None  # noqa: S101 - a series has slices
    localizer, report = f"{name}-localizer.dcm", f"{name}-dose.dcm"
    (folder / report).write_bytes(encoded(_report(first, root)))
    (folder / localizer).write_bytes(encoded(_localizer(first, root)))
    return PhantomStudy(label, str(first.StudyInstanceUID), localizer, report)


def _series(label: str, patient: int, slices: int, size: int, seed: int) -> Iterator[FileDataset]:
    """Yield the slices of a series, from the apex down; two series of a patient show other levels."""
    for at in range(slices):
        level = (at + 0.5) / slices
        shown = label if LESIONS[0] <= level <= LESIONS[1] else LABELS[0]
        yield phantom(shown, patient, number_at(int(level * POSITIONS)), size=size, seed=seed)


def _identify(dataset: FileDataset, root: str, series: int, number: int, first: FileDataset) -> None:
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(root, "study"), uid(root, "series", series)
    dataset.SOPInstanceUID = uid(root, "instance", series, number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.FrameOfReferenceUID = uid(root, "frame")
    dataset.SeriesNumber, dataset.InstanceNumber = series, number
    for keyword in OF_STUDY:
        setattr(dataset, keyword, first[keyword].value)


def _localizer(first: FileDataset, root: str) -> FileDataset:
    """Return the view from the front by which the scan was planned, made of the first slice's pixels."""
    dataset = copy.deepcopy(first)
    _identify(dataset, root, 0, 1, first)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return dataset


def _report(first: FileDataset, root: str) -> FileDataset:
    """Return a radiation dose report (DICOM PS3.3 A.35.8) with one number in it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = XRayRadiationDoseSRStorage
    report = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    for keyword in ("PatientName", "PatientID", "PatientSex", "PatientBirthDate"):
        setattr(report, keyword, first.get(keyword, ""))
    report.SOPClassUID, report.Modality, report.SyntheticData = XRayRadiationDoseSRStorage, "SR", "YES"
    _identify(report, root, 99, 1, first)
    report.ReferringPhysicianName = ""
    report.ContentDate, report.ContentTime = first.ContentDate, first.ContentTime
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence = [_code(codes.DCM.XRayRadiationDoseReport)]
    measured = Dataset()
    measured.NumericValue = "210"
    measured.MeasurementUnitsCodeSequence = [_code(Code("mGy.cm", "UCUM", "mGy.cm"))]
    dose = Dataset()
    dose.RelationshipType, dose.ValueType = "CONTAINS", "NUM"
    dose.ConceptNameCodeSequence = [_code(codes.DCM.CTDoseLengthProductTotal)]
    dose.MeasuredValueSequence = [measured]
    report.ContentSequence = [dose]
    return report


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
