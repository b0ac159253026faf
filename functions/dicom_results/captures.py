"""Secondary Capture: what all drawn results have in common."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from pydicom.uid import ExplicitVRLittleEndian

from functions.dicom_results.instances import Subject


def capture(subject: Subject, name: str, number: int, pixels: np.ndarray) -> SCImage:
    """Return a picture, rows x columns x RGB with 8 bits each, as the result of this name and InstanceNumber."""
    made = SCImage.from_ref_dataset(
        subject.first,
        pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **subject.named(name, number),
    )
    made = subject.finished(made)
    made.PatientOrientation = []  # highdicom wants one; a drawing has none, which is written as empty
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    body_part = subject.reference.get("BodyPartExamined", "")
    if body_part:
        made.BodyPartExamined = body_part
    else:
        made.Laterality = ""
    return made
