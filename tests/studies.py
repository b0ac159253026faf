"""Make studies by hand: of patients with lesions on some slices, read by a model that is often wrong at the base."""

from __future__ import annotations

import numpy as np

from aggregation.slices import Slice
from model_code.studies import Study
from wetread.demo.phantoms import LABELS

BASE, ALARMS = 0.7, 0.5
"""From this level on so many slices without lesions alarm."""


def made_study(number: int, label: str, *, share: float = 0.5, slices: int = 20, seed: int = 0) -> Study:
    """Return a study whose lesions take a share of neighbouring slices."""
    rng = np.random.default_rng([seed, number])
    sick = np.zeros(slices, np.bool_)
    if label != "normal":
        lesions = max(1, round(share * slices))
        first = int(rng.integers(0, slices - lesions + 1))
        sick[first : first + lesions] = True
    logits = rng.normal(0, 1, (slices, len(LABELS)))
    alarms = ~sick & (np.arange(slices) >= BASE * slices) & (rng.random(slices) < ALARMS)
    logits[:, 0] += np.where(sick | alarms, 0, 2.5)
    logits[:, LABELS.index(label)] += np.where(sick, 4, 0)
    logits[np.arange(slices), rng.integers(1, 3, slices)] += np.where(alarms, 3, 0)
    powers = np.exp(logits)
    return Study(
        line=number + 1,
        patient=f"p{number}",
        label=label,
        slices=tuple(
            Slice(
                upload_id=f"{number}-{at:03}",
                series=f"1.{number}",
                probabilities=dict(zip(LABELS, row.tolist(), strict=True)),
                position=float(at),
            )
            for at, row in enumerate(powers / powers.sum(axis=1, keepdims=True))
        ),
    )


def made_studies(patients: int, *, share: float = 0.5, slices: int = 20, seed: int = 0) -> list[Study]:
    """Return one study of each patient, with the classes in turn."""
    return [
        made_study(one, LABELS[one % len(LABELS)], share=share, slices=slices, seed=seed) for one in range(patients)
    ]
