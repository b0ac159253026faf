"""The objects of a smoke test: phantoms of invented patients, all of one study, so that one command erases them."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from functions.domain.row import Status
from functions.domain.slices import Split
from functions.domain.verdict import Risk
from wetread.demo.defects import DEFECTS
from wetread.demo.phantoms import LABELS, phantom

SIZE = 96
MIB = 1024**2
PART_BYTES = 5 * MIB
IN_PARTS_BYTES = 12 * MIB
PADDING = struct.pack("<HH2s2x", 0xFFFC, 0xFFFC, b"OB")
"""The start of Data Set Trailing Padding (DICOM PS3.10): its length follows, in four bytes."""
ACCEPTED = tuple(Risk)
"""The cohort has one study and few patients, which a person would not train on."""
HYPERPARAMETERS = {"epochs": "1", "image_size": "64", "batch_size": "4", "model_name": "smoke"}


@dataclass(frozen=True)
class Marks:
    """The invented identity of one smoke test: a token for names and keys, and the UID of its study."""

    token: str
    study: str

    @classmethod
    def new(cls) -> Marks:
        """Return an identity that no object has."""
        made = uuid.uuid4()
        return cls(made.hex[:8], f"2.25.{made.int}")


@dataclass(frozen=True)
class Upload:
    """One object to upload; its row must end in ``status`` with ``code``. ``in_parts``: as a multipart upload."""

    number: str
    name: str
    body: bytes
    status: Status
    code: str | None = None
    in_parts: bool = False


def slice_of(marks: Marks, patient: int) -> bytes:
    """Return a phantom of one invented patient, in the study of ``marks``."""
    dataset = phantom(LABELS[patient % len(LABELS)], patient, 0, size=SIZE, seed=23)
    dataset.PatientID = f"SMOKE-{marks.token}-{patient}"
    dataset.StudyInstanceUID = marks.study
    dataset.SeriesInstanceUID = f"2.25.{uuid.uuid4().int}"
    instance = UID(f"2.25.{uuid.uuid4().int}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lengthened(body: bytes, size: int) -> bytes:
    """Return an object (Explicit VR Little Endian) of exactly ``size`` bytes with the same picture.

    Raises ValueError where padding cannot make that size.
    """
    room = size - len(body) - len(PADDING) - 4
    if room < 0 or room % 2:
        raise ValueError(f"an object of {len(body)} bytes cannot be lengthened to {size}")
    return body + PADDING + struct.pack("<I", room) + bytes(room)


def uploads(marks: Marks, most_bytes: int) -> list[Upload]:
    """Return a phantom, two broken files, an object of exactly ``most_bytes``, and one in parts with checksums."""
    spoil = {defect.name: defect for defect in DEFECTS}
    found = [Upload("rows", "phantom.dcm", slice_of(marks, 0), Status.COMPLETED)]
    for number, name in enumerate(("mr", "truncated-pixels"), start=1):
        defect = spoil[name]
        found.append(Upload("rows", f"{name}.dcm", defect.spoil(slice_of(marks, number)), defect.status, defect.code))
    limit = lengthened(slice_of(marks, 3), most_bytes)
    in_parts = lengthened(slice_of(marks, 4), min(IN_PARTS_BYTES, most_bytes))
    found.append(Upload("R6", "at-the-limit.dcm", limit, Status.COMPLETED))
    found.append(Upload("R7", "in-parts.dcm", in_parts, Status.COMPLETED, in_parts=True))
    return found


def write_cohort(folder: Path, marks: Marks, labels: Sequence[str]) -> Path:
    """Write labelled phantoms on which no model can be promoted, whatever a stage's thresholds; return the folder.

    The test part lacks the last class. So its sensitivity is undefined, which the model gate always refuses.
    """
    parts = [(Split.TRAIN, label) for label in labels for _ in range(2)]
    parts += [(Split.VALIDATION, label) for label in labels]
    parts += [(Split.TEST, label) for label in labels[:-1] for _ in range(2)]
    entries = []
    for number, (part, label) in enumerate(parts):
        name = f"slice-{number:03d}.dcm"
        (folder / name).write_bytes(slice_of(marks, 100 + number))
        entries.append({"filename": name, "content": {"type": "classification", "label": label}, "split": part})
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder
