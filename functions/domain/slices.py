"""One labelled slice, from its line in the manifest to its entry in the snapshot: one record that fills up."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Split(enum.StrEnum):
    """Which part of a run sees a slice."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSlice:
    """One labelled slice. A text that is not known yet is "".

    - The manifest gives ``line`` (the CSV file's own, or the number of the JSON entry, from 1), ``label``,
      ``filename``, ``study_id``, ``series_id``, and ``split`` if it names one (else None until they are divided).
    - The cohort's folder gives ``key``, ``version_id`` and ``size`` (bytes) of the object that the line means.
    - The object gives the UIDs of its header, ``name`` (of its pinned copy) and ``content_sha256`` (hex).
      ``patient_id`` and its issuer are only ever hashed, never stored or logged.
    - ``patient`` is the keyed hash of the PatientID, or of the StudyInstanceUID if that is empty.
    - ``retrained``: the manifest puts it into training or validation, although models were measured on its patient.
    - ``study_label`` is what its study shows; a slice that has it may have no ``label``: then it is not trained on.
    - ``fold`` is the fold in which it is tested, from 1; 0 where there is a test part instead.
    """

    line: int
    label: str
    filename: str = ""
    study_id: str = ""
    series_id: str = ""
    split: Split | None = None
    key: str = ""
    version_id: str = ""
    size: int = 0
    name: str = ""
    content_sha256: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    patient_id: str = field(default="", repr=False)
    issuer_of_patient_id: str = field(default="", repr=False)
    patient: str = ""
    retrained: bool = False
    fold: int = 0
    study_label: str = ""

    @property
    def part(self) -> str:
        """Return the part that no patient may share with another: the fold, or else training, validation or test."""
        return f"fold {self.fold}" if self.fold else str(self.split or "")
