"""Synthetic chest CT slices as DICOM objects: the same arguments give the same bytes, on every run.

A patient is a number and a seed: they decide anatomy and acquisition; the class decides the lesions alone, so that
nothing but the lung's texture distinguishes the classes. All names, dates and identifiers are invented.
"""

from __future__ import annotations

import io
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from wetread.demo import lesions
from wetread.demo.acquisition import Acquisition, reconstruct
from wetread.demo.anatomy import Physique, draw
from wetread.demo.encode import TRANSFER_SYNTAXES, pixel_data
from wetread.demo.field import Grid

LABELS = ("normal", "cap", "covid")
POSITIONS = 256
"""Axial positions of a synthetic chest, 1 mm apart; a patient has at most this many slices."""

_IMPLEMENTATION = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, 'wetread phantom').int}")


@dataclass(frozen=True)
class PhantomSlice:
    """One written phantom: its path, and its manifest entry."""

    path: Path
    label: str
    patient: int
    slice: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Dealt:
    """One slice of a cohort: its patient, the patient's class, and the number of the slice (0..POSITIONS - 1)."""

    patient: int
    label: str
    slice: int

    @property
    def level(self) -> float:
        """Where the slice lies: 0 is the apex of the lung, 1 the dome of the liver."""
        return level_of(self.slice)


def deal(patients: int, slices_per_patient: int, seed: int, labels: Sequence[str] = LABELS) -> list[Dealt]:
    """Return a cohort's slices, patient by patient: classes in an order that the seed shuffles, levels in turn.

    Each patient of a class continues where the one before ended, so every class has slices of all levels of the chest,
    the same in each class. A cohort in which every patient began with slice 0 would teach the apex alone. Raises
    ValueError for more slices than a patient has.
    """
    if slices_per_patient > POSITIONS:
        raise ValueError(f"a patient has {POSITIONS} slices, fewer than {slices_per_patient}")
    shuffled = np.random.default_rng([seed, 1]).permutation([labels[i % len(labels)] for i in range(patients)])
    given: Counter[str] = Counter()
    dealt: list[Dealt] = []
    for patient, label in enumerate(shuffled.tolist()):
        first = given[label]
        given[label] += slices_per_patient
        dealt += [Dealt(patient, label, number % POSITIONS) for number in range(first, given[label])]
    return dealt


def write_cohort(
    folder: Path,
    patients: int = 30,
    slices_per_patient: int = 5,
    size: int | Sequence[int] = 512,
    seed: int = 0,
    labels: Sequence[str] = LABELS,
) -> list[PhantomSlice]:
    """Write a cohort and its ``manifest.json`` into ``folder``.

    Patients are dealt the ``labels`` evenly, in an order that the seed shuffles, and each has one class. A patient's
    slices share one transfer syntax, whatever the class; their levels are those that ``deal`` gives. Of several sizes
    each class's patients have one in turn.
    """
    sizes = [size] if isinstance(size, int) else size
    folder.mkdir(parents=True, exist_ok=True)
    syntaxes = np.random.default_rng([seed, 2]).integers(len(TRANSFER_SYNTAXES), size=patients).tolist()
    written: list[PhantomSlice] = []
    given: Counter[str] = Counter()
    for number, one in enumerate(deal(patients, slices_per_patient, seed, labels)):
        syntax = TRANSFER_SYNTAXES[syntaxes[one.patient]]
        side = sizes[given[one.label] // slices_per_patient % len(sizes)]
        given[one.label] += 1
        dataset = phantom(one.label, one.patient, one.slice, size=side, seed=seed, transfer_syntax=syntax)
        path = folder / f"phantom-{one.patient:04d}-{number % slices_per_patient:03d}.dcm"
        path.write_bytes(encoded(dataset))
        written.append(
            PhantomSlice(
                path=path,
                label=one.label,
                patient=one.patient,
                slice=one.slice,
                study_instance_uid=str(dataset.StudyInstanceUID),
                series_instance_uid=str(dataset.SeriesInstanceUID),
                sop_instance_uid=str(dataset.SOPInstanceUID),
                transfer_syntax_uid=str(syntax),
            )
        )
    (folder / "manifest.json").write_text(json.dumps([_manifest_entry(one) for one in written], indent=2) + "\n")
    return written


def phantom_bytes(
    label: str,
    patient: int,
    slice: int,  # noqa: A002 - DICOM's word
    *,
    size: int = 512,
    seed: int = 0,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> bytes:
    """Return the DICOM file (Part 10) of one slice; see ``phantom``."""
    return encoded(phantom(label, patient, slice, size=size, seed=seed, transfer_syntax=transfer_syntax))


def phantom(
    label: str,
    patient: int,
    slice: int,  # noqa: A002 - DICOM's word
    *,
    size: int = 512,
    seed: int = 0,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> FileDataset:
    """Return one axial slice, ``size`` x ``size``, of ``patient`` with the lesions of class ``label``.

    Slices are dealt over the chest so that any first few of them cover it. Raises ValueError for an unknown label or
    transfer syntax, or a slice number not below POSITIONS.
    """
    if label not in LABELS:
        raise ValueError(f"label {label!r} is unknown; choose one of {', '.join(LABELS)}")
    if not 0 <= slice < POSITIONS:
        raise ValueError(f"slice {slice} is outside 0..{POSITIONS - 1}")
    body = np.random.default_rng([seed, 3, patient])
    physique = Physique.drawn(body)
    acquisition = Acquisition.drawn(body, physique.width)
    disease = lesions.foci(label, np.random.default_rng([seed, 4, patient]))

    position = _position(slice)
    rng = np.random.default_rng([seed, 5, patient, slice])
    grid = Grid.of(size, acquisition.field_of_view / size, acquisition.centre)
    chest = draw(physique, level_of(slice), grid, rng)
    lesions.apply(chest, disease, label, np.random.default_rng([seed, 6, patient, slice]))
    stored = reconstruct(chest.hu, acquisition, rng)

    dataset = _described(acquisition, f"{seed}/{label}/{patient}/{size}", patient, slice, position, stored.shape[0])
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    dataset.PatientName, dataset.PatientID = f"Phantom^{seed}-{patient:04d}", f"PHANTOM-{seed}-{patient:04d}"
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = int(stored.min()), int(stored.max())
    dataset.PixelData = pixel_data(stored, acquisition.scanner.bits, transfer_syntax)
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = UID(transfer_syntax).is_encapsulated
    return dataset


def level_of(number: int) -> float:
    """Return the level of a patient's slice by its number: 0 is the apex of the lung, 1 the dome of the liver."""
    return 0.08 + 0.86 * _position(number) / POSITIONS


def _position(number: int) -> int:
    """Return the axial position of a slice, from the apex down: its number's 8 bits in reverse, so few lie apart."""
    return int(f"{number:08b}"[::-1], 2)


def number_at(position: int) -> int:
    """Return the number of the slice at an axial position."""
    return _position(position)  # to reverse the bits twice is to leave them


def uid(*parts: object) -> UID:
    """Return a UID derived from the parts, under the root for UUIDs (DICOM PS3.5 B.2)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(['wetread', *map(str, parts)])).int}")


def _described(acquisition: Acquisition, root: str, patient: int, number: int, position: int, size: int) -> FileDataset:
    """Return all attributes of the CT Image object but the pixels."""
    study = number % acquisition.studies
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(root, "instance", number)
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "WETREAD_PHANTOM"
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SyntheticData = "YES"  # what is trained on this says so, on every answer
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(root, "study", study), uid(root, "series", study)
    dataset.FrameOfReferenceUID = uid(root, "frame", study)
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "", acquisition.sex, f"{acquisition.age:03d}Y"
    day = 1 + (patient * 7 + study * 13) % 28
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = f"202601{day:02d}"
    dataset.StudyTime = dataset.ContentTime = f"{8 + patient % 10:02d}{number % 60:02d}00"
    dataset.AccessionNumber, dataset.StudyID = f"P{patient:04d}{study}", str(study + 1)
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription, dataset.Modality = "Synthetic chest phantom", "CT"
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 2, 1, position + 1
    scanner = acquisition.scanner
    dataset.Manufacturer, dataset.ManufacturerModelName = scanner.manufacturer, scanner.model
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.ConvolutionKernel, dataset.KVP = acquisition.kernel, acquisition.kvp
    dataset.XRayTubeCurrent, dataset.SliceThickness = acquisition.current, acquisition.slice_thickness
    dataset.ReconstructionDiameter = acquisition.field_of_view
    spacing = round(acquisition.field_of_view / size, 6)
    corner = [round(middle - spacing * (size - 1) / 2, 3) for middle in acquisition.centre]
    dataset.PixelSpacing, dataset.PositionReferenceIndicator = [spacing, spacing], ""
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [*corner, -float(position)]
    dataset.SliceLocation = -float(position)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, scanner.bits, scanner.bits - 1
    dataset.PixelRepresentation, dataset.BurnedInAnnotation = int(scanner.signed), "NO"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = scanner.intercept, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = acquisition.window
    return dataset


def encoded(dataset: FileDataset) -> bytes:
    """Return the DICOM file (Part 10) of a dataset."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _manifest_entry(one: PhantomSlice) -> dict[str, object]:
    return {
        "studyId": one.study_instance_uid,
        "seriesId": one.series_instance_uid,
        "filename": one.path.name,
        "content": {"type": "classification", "label": one.label},
    }
