"""Divides slices into training and validation by patient, so that no patient is on both sides."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """Indices of slices. ``reason`` says why ``validation`` is empty, "" when it is not."""

    training: tuple[int, ...]
    validation: tuple[int, ...]
    reason: str


def split_by_patient(patients: Sequence[str], labels: Sequence[str], seed: int) -> Split:
    """Hold out about a fifth of each class's patients, at least one; the same ``seed`` holds out the same ones.

    A patient belongs to the class of most of their slices. With a class of a single patient there is no honest
    validation, because the patient would be the class: then everything is training, and the split says why.
    """
    of_patient: dict[str, Counter[str]] = defaultdict(Counter)
    for patient, label in zip(patients, labels, strict=True):
        of_patient[patient][label] += 1
    of_class: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(of_patient):
        counts = of_patient[patient]
        of_class[min(counts, key=lambda label: (-counts[label], label))].append(patient)
    # A class may also be nobody's main one; it too would be missing on one side.
    alone = sorted(label for label in set(labels) if len(of_class.get(label, [])) < 2)
    if alone:
        return Split(tuple(range(len(patients))), (), f"fewer than two patients with {', '.join(alone)}")
    generator = random.Random(seed)  # noqa: S311  (a reproducible split, no secret)
    held_out: set[str] = set()
    for label in sorted(of_class):
        drawn = generator.sample(of_class[label], max(1, round(len(of_class[label]) * VALIDATION_FRACTION)))
        held_out.update(drawn)
    return Split(
        tuple(index for index, patient in enumerate(patients) if patient not in held_out),
        tuple(index for index, patient in enumerate(patients) if patient in held_out),
        "",
    )
