"""A study of CT slices as files, its read, and what a stage says: the input of DICOM results."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage

from functions.dicom_results.heat import Cells, Heated, strength_of
from functions.dicom_results.instances import Subject
from functions.dicom_results.making import picture_of, results_of
from functions.dicom_results.reference import WANTED, reference_of
from functions.dicom_results.stage import Kind, LabelCode, Stage
from functions.dicom_results.study import Finding, Model, Series, Slice, StudyRead
from functions.domain.grid import Over
from functions.domain.header import BOUNDS
from tests.fakes.dicom import ct
from untrusted.header import read_header

STUDY = "1.2.840.99.7"
SERIES = ("1.2.840.99.7.1", "1.2.840.99.7.2")
SLICES_OF_A_SERIES = 6
MODEL = Model(
    name="chest-ct", version="7", package="arn:aws:sagemaker:eu-west-1:1:model-package/wetread/7",
    weights_sha256="ab" * 32, form="openvino-fp32",
)  # fmt: skip
STAGE = Stage(
    identity="wetread-results-1",
    manufacturer="wetread project",
    software="0.1.0",
    series_number_base=9901,
    codes={"normal": LabelCode(value="17621005", scheme="SCT", meaning="Normal")},
)

PATIENT: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Müller^Jörg",
    "PatientID": "QWX-4711",
    "IssuerOfPatientID": "Clinic",
    "PatientBirthDate": "19600101",
    "PatientSex": "M",
    "PatientAge": "066Y",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "StudyID": "S1",
    "StudyDescription": "CT chest",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Referrer^Rita",
    "BodyPartExamined": "CHEST",
}
"""The patient's and study's attributes of a good object."""


def image(series: int, number: int, **changes: Any) -> bytes:
    """Return one slice as a complete CT object; ``changes`` set attributes, None removes one."""
    return ct(
        **(
            PATIENT
            | {
                "StudyInstanceUID": STUDY,
                "SeriesInstanceUID": SERIES[series],
                "SOPInstanceUID": f"{SERIES[series]}.{number}",
                "SeriesNumber": series + 301,
                "InstanceNumber": number,
                "AcquisitionNumber": 1,
                "Manufacturer": "Maker",
                "FrameOfReferenceUID": f"{SERIES[series]}.9999",
                "PositionReferenceIndicator": "",
                "ImagePositionPatient": [-125, -125, 5 * number],
                "PixelSpacing": [3.9, 3.9],
                "SliceThickness": 5,
                "KVP": 120,
                "PatientPosition": "HFS",
                "RescaleIntercept": -1024,
                "RescaleSlope": 1,
                "RescaleType": "HU",
            }
            | changes
        )
    )


@cache
def images() -> tuple[bytes, ...]:
    """Return the objects of a study of two series."""
    return tuple(image(series, number) for series in range(2) for number in range(1, SLICES_OF_A_SERIES + 1))


def reference(body: bytes) -> Dataset:
    """Return what results copy of one object."""
    return reference_of(read_header(body, len(body), WANTED, BOUNDS))[0]


def slice_of(series: int, number: int) -> Slice:
    """Return a slice as the read names it."""
    return Slice(
        series_uid=SERIES[series],
        sop_uid=f"{SERIES[series]}.{number}",
        sop_class_uid=CTImageStorage,
        rows=64,
        columns=64,
        number=number,
    )


def read(**changes: Any) -> StudyRead:
    """Return revision 1 of the study's read: covid, by three slices of the second series."""
    evidence = {0: tuple(slice_of(0, n) for n in (1, 2, 3)), 1: tuple(slice_of(1, n) for n in (3, 4, 5))}
    scores = (("normal", 0.09), ("cap", 0.0), ("covid", 0.91))
    lower = (("normal", 0.8), ("cap", 0.1), ("covid", 0.2))
    found = StudyRead(
        study_uid=STUDY,
        revision=1,
        predecessor=None,
        closed_at=datetime(2026, 1, 2, 11, 30, 15, tzinfo=UTC),
        forced=False,
        model=MODEL,
        aggregation="top_mean k=3",
        predicted="covid",
        reference_label="normal",
        findings=(
            *(Finding(label=label, score=score, evidence=evidence[1]) for label, score in scores),
            *(Finding(label=label, score=score, evidence=evidence[0], series_uid=SERIES[0]) for label, score in lower),
            *(Finding(label=label, score=score, evidence=evidence[1], series_uid=SERIES[1]) for label, score in scores),
        ),
        series=tuple(Series(uid=uid, number=301 + place) for place, uid in enumerate(SERIES)),
        members=tuple(slice_of(series, n) for series in range(2) for n in range(1, SLICES_OF_A_SERIES + 1)),
        cautions=(),
    )
    return replace(found, **changes)


def subject(body: bytes | None = None, stage: Stage = STAGE, **changes: Any) -> Subject:
    """Return the input of the results of ``read(**changes)``, with the attributes of one object."""
    return Subject(read=read(**changes), reference=reference(body or images()[0]), stage=stage)


def made(body: bytes | None = None, kinds: tuple[Kind, ...] = tuple(Kind), **changes: Any) -> dict[str, bytes]:
    """Return the results' bytes by kind; heat pictures are heat-1, heat-2 and heat-3."""
    about = subject(body, **changes)
    found = {one.kind: one.body for one in results_of(about, kinds)}
    return found | (pictures(about) if Kind.HEAT in kinds else {})


OVER = Over(
    exchange=False, reverse_rows=False, reverse_columns=False, top=0, left=0, rows=64, columns=64, side=64,
    level_hu=-600.0, width_hu=1500.0,
)  # fmt: skip
"""What the grids of the study lie over: slices that are stored upright."""


def pictures(about: Subject, **header: Any) -> dict[str, bytes]:
    """Return the heat pictures of a study whose grids are hot at the upper left; ``header`` changes the slices."""
    found: dict[str, bytes] = {}
    for place, one in enumerate(about.read.class_slices, 1):
        shown = heated(one, place)
        body = image(SERIES.index(one.series_uid), int(one.sop_uid.rpartition(".")[2]), **header)
        made = picture_of(about, shown, body, strength_of([shown.heat]))
        found[made.kind] = made.body
    return found


def heated(one: Slice, place: int = 1, heat: Cells | None = None, **over: Any) -> Heated:
    """Return a slice with its heat, 2 x 2."""
    cells = np.array([[8, 2], [0, 0]], np.float32) if heat is None else heat
    return Heated(slice=one, place=place, label="covid", heat=cells, over=replace(OVER, **over))


def dataset(body: bytes) -> Dataset:
    """Return a result read back."""
    return dcmread(io.BytesIO(body))


def files(folder: Path, bodies: dict[str, bytes]) -> list[Path]:
    """Write objects to files of a folder, by name."""
    paths = []
    for name, body in bodies.items():
        path = folder / f"{name}.dcm"
        path.write_bytes(body)
        paths.append(path)
    return paths
