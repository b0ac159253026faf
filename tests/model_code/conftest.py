"""Fixtures: made CT objects, a snapshot of them, and a model that was really trained on it."""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from model_code.artifacts import seal
from model_code.artifacts.packing import pack, unpack
from model_code.backends.backend import BackendName
from model_code.container import Container, Processing
from model_code.optimisation import command, trial
from model_code.optimisation.parity import Bounds
from model_code.training.train import train
from tests.snapshots import Labelled, write_snapshot
from wetread.demo.encode import pixel_data

LABELS = ("normal", "cap", "covid")
SIZE = 64
PATIENTS_PER_CLASS, SLICES_PER_PATIENT = 4, 4
SOP_INSTANCE_UID = "1.2.840.99.7.1"

MakeSlice = Callable[..., bytes]


def make_slice(stored: np.ndarray | None = None, *, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> bytes:
    """A CT object as a DICOM file; ``changes`` set attributes by keyword, None removes one."""
    stored = np.arange(48, dtype=np.uint16).reshape(6, 8) if stored is None else stored
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(SOP_INSTANCE_UID)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    bits = 8 * stored.dtype.itemsize
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": SOP_INSTANCE_UID,
        "Modality": "CT",
        "PatientName": "Doe^Jane",
        "PatientID": "SECRET-42",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "PixelData": None,
    } | changes
    if "PixelData" not in changes:
        swapped = stored.byteswap() if not UID(syntax).is_little_endian else stored
        plain = ExplicitVRLittleEndian if not UID(syntax).is_encapsulated else syntax
        values["PixelData"] = pixel_data(swapped, values["BitsStored"] or bits, plain)
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
        dataset["PixelData"].is_undefined_length = UID(syntax).is_encapsulated
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture(scope="session", name="make_slice")
def make_slice_fixture() -> MakeSlice:
    """``make_slice`` for tests."""
    return make_slice


def chest(label: str, rng: np.random.Generator) -> np.ndarray:
    """Return a crude chest, SIZE x SIZE stored values (HU + 1024): one lung dense in part, both hazy, or clear."""
    hu = np.full((SIZE, SIZE), -550.0 if label == "covid" else -850.0)
    if label == "cap":
        row = int(rng.integers(6, 30))
        hu[row : row + 26, :28] = 30
    hu[:6], hu[-6:], hu[:, 29:35] = 40, 40, 40
    return (hu + rng.normal(1024, 25, hu.shape)).clip(0, 4095).astype(np.uint16)


def chests(patients_per_class: int = PATIENTS_PER_CLASS) -> list[Labelled]:
    """Return each class's patients in turn: of four, two to train on, one to validate and one to test on."""
    rng = np.random.default_rng(7)
    return [
        Labelled(make_slice(chest(label, rng), PatientID=f"P{label}{number}"), label, f"P{label}{number}", split)
        for number in range(patients_per_class)
        for label in LABELS
        for split in [("train", "train", "validation", "test")[number % 4]]
        for _ in range(SLICES_PER_PATIENT)
    ]


def opt_ml(
    base: Path, slices: list[Labelled], changes: Mapping[str, Any] = MappingProxyType({}), **hyperparameters: object
) -> Container:
    """Return a training job's /opt/ml, ready for ``train``; ``changes`` are made to its snapshot."""
    write_snapshot(base / "input/data", slices, LABELS, **changes)
    made = Container(base)
    made.hyperparameters.parent.mkdir(parents=True)
    made.hyperparameters.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    return made


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A /opt/ml in which a training job has run; its log is in training.log."""
    made = opt_ml(
        tmp_path_factory.mktemp("opt-ml"),
        chests(),
        epochs=5,
        image_size=SIZE,
        model_name="tiny",
        model_version="1.2.3",
    )
    handler = logging.FileHandler(made.base / "training.log")
    logger = logging.getLogger("model_code")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        train(made)
    finally:
        logger.removeHandler(handler)
        handler.close()
    return made


@pytest.fixture
def body() -> bytes:
    """Return one slice of class covid."""
    return make_slice(chest("covid", np.random.default_rng(1)))


@dataclass(frozen=True)
class Optimised:
    """What ``optimise`` made of the trained model: its archive, and the same unpacked."""

    archive: Path
    folder: Path


@pytest.fixture(scope="session")
def processing(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Processing:
    """A processing job's /opt/ml/processing with the snapshot that the model was trained on, and the model."""
    made = Container(tmp_path_factory.mktemp("processing")).processing
    shutil.copytree(container.base / "input/data", made.base / "input")
    made.candidate.parent.mkdir()
    pack(container.model_dir, made.candidate)
    return made


@pytest.fixture(scope="session")
def optimised(processing: Processing, container: Container) -> Optimised:
    """The trained model with all OpenVINO backends; those of fewer bits are accepted, 8 bits and bfloat16 fastest."""
    try_int8 = command.try_int8
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BF16", "INT8"):
            patch.setattr(trial, name, Bounds(usual=1.0, most=1.0, tie_band=1.0, auc=1.0, grid=1.0))
        patch.setattr(command, "multiplies_bfloat16", lambda: True)
        patch.setattr(
            command,
            "try_int8",
            lambda name, *others: [
                one for each in (BackendName.OPENVINO_INT8, name) for one in try_int8(each, *others)
            ],
        )
        patch.setattr(
            command, "images_per_second", lambda backends, _: {name: 2.0**n for n, name in enumerate(backends)}
        )
        reported = "-".join(map(str, seal.seal_of(container.model_dir)))
        command.optimise(processing, trained=reported, quantise=True)
    folder = processing.base / "unpacked"
    unpack(processing.optimised, folder)
    return Optimised(processing.optimised, folder)
