"""How many changed copies and second ids the audit finds among slices, and how many strangers it accuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assurance.data_gate.changed import Change
from model_code.audit.likeness import Likeness, likeness
from model_code.audit.lookalikes import Lookalikes, lookalikes
from model_code.reading import decoder_process
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import KEYWORDS
from model_code.reading.elements import read_elements
from model_code.reading.hounsfield import HounsfieldArray
from wetread.demo.phantoms import LABELS, phantom_bytes


@dataclass(frozen=True)
class Shown:
    """A slice in Hounsfield units, and whose it is."""

    hounsfield: HounsfieldArray
    patient: str


def real(folder: Path) -> list[Shown]:
    """Return the DICOM slices of a folder, by their PatientID."""
    decoder_process.SHARED.start()
    elements = [read_elements(path.read_bytes(), {*KEYWORDS, "PatientID"}) for path in sorted(folder.glob("*.dcm"))]
    return [Shown(read_slice(one).upright(), one.text("PatientID")) for one in elements]


def phantoms(patients: int, slices: int, size: int, seed: int) -> list[Shown]:
    """Return so many phantoms' slices."""
    made = [(patient, number) for patient in range(patients) for number in range(slices)]
    bodies = [phantom_bytes(LABELS[one % len(LABELS)], one, number, size=size, seed=seed) for one, number in made]
    read = [read_slice(read_elements(body, KEYWORDS)) for body in bodies]
    return [Shown(one.upright(), str(patient)) for one, (patient, _) in zip(read, made, strict=True)]


def copies_found(shown: Sequence[Shown], before: Sequence[Likeness | None], change: Change) -> tuple[float, int]:
    """Return the share of changed copies that are found, and how many pairs of different patients are accused.

    All originals are in one part, all copies in another under other ids.
    """
    count = len(shown)
    after = [likeness(np.ascontiguousarray(change(one.hounsfield), np.float32)) for one in shown]
    patients = [one.patient for one in shown]
    found = _looked(
        [*before, *after],
        ["train"] * count + ["test"] * count,
        patients + [f"copy of {one}" for one in patients],
    )
    pairs = {(one.first, one.second) for one in found.copies}
    right = sum((index, index + count) in pairs for index in range(count))
    accused = [one for one in (*found.copies, *found.same_patient) if _differ(patients, one.first, one.second - count)]
    return right / count, len(accused)


def strangers_accused(shown: Sequence[Shown], before: Sequence[Likeness | None]) -> tuple[int, int]:
    """Return how many pairs of slices of different patients are accused with the patients dealt to parts, of how many.

    Each patient is once alone in the test part, so that each two patients are compared.
    """
    accused = compared = 0
    patients = [one.patient for one in shown]
    for alone in sorted(set(patients)):
        found = _looked(before, ["test" if one == alone else "train" for one in patients], patients)
        accused += len(found.copies) + len(found.same_patient)
        compared += found.compared
    return accused, compared


def second_ids_found(
    shown: Sequence[Shown], before: Sequence[Likeness | None], each: int, deals: int, seed: int
) -> dict[str, tuple[int, float, int]]:
    """Return by patient how many slices each of two ids has, how often they are found as one, and false accusations.

    A patient's slices are dealt at random to two ids in two parts, ``each`` at most; all others are in the first part.
    """
    rng, patients = np.random.default_rng(seed), [one.patient for one in shown]
    result: dict[str, tuple[int, float, int]] = {}
    for patient in sorted(set(patients)):
        own = np.array([index for index, one in enumerate(patients) if one == patient])
        size = min(each, len(own) // 2)
        right = accused = 0
        for _ in range(deals):
            dealt = rng.permutation(own)[: 2 * size]
            second = set(dealt[:size].tolist())
            kept = [index for index, one in enumerate(patients) if one != patient or index in dealt]
            found = _looked(
                [before[index] for index in kept],
                ["test" if index in second else "train" for index in kept],
                ["second id" if index in second else patients[index] for index in kept],
            )
            pairs = [(kept[one.first], kept[one.second]) for one in (*found.copies, *found.same_patient)]
            right += any(not _differ(patients, *pair) for pair in pairs)
            accused += sum(_differ(patients, *pair) for pair in pairs)
        result[patient] = size, right / deals, accused
    return result


def _looked(likenesses: Sequence[Likeness | None], splits: Sequence[str], patients: Sequence[str]) -> Lookalikes:
    return lookalikes(likenesses, [str(index) for index in range(len(splits))], splits, patients)


def _differ(patients: Sequence[str], one: int, other: int) -> bool:
    return patients[one] != patients[other]
