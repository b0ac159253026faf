"""Phantom studies with lesions on neighbouring levels, read by slice models that are known to err.

`made` draws what a slice model says without a picture, so that thousands of studies take seconds. The poor model is the
demo's of 2026-11-27, which had learnt the apex of the lung alone: its sensitivity for slices was 0.93, its specificity
0.67, and nearly every normal base alarmed, with high probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aggregation.slices import Slice
from model_code.studies import Study
from wetread.demo.phantoms import LABELS

NORMAL = LABELS[0]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reader:
    """A slice model: how often it alarms on a slice without lesions, by level from apex to base, and finds lesions.

    ``patient`` is how much patients differ, in logits of both.
    """

    alarms: tuple[float, ...]
    sensitivity: float
    patient: float = 0.7


POOR = Reader((0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.3, 0.7, 0.68, 0.75, 0.75, 1, 1), 0.97)
FAIR = Reader((0.05,) * 16, 0.97)
READERS = {"poor": POOR, "fair": FAIR}
SURE, UNSURE, SPREAD = 3.0, -4.0, 1.5
"""Logits of what a model sees and does not see, and their standard deviation."""


@dataclass(frozen=True)
class Phantom:
    """A study with the share of its slices that have lesions, 0 for a normal one, and which these are."""

    study: Study
    share: float
    lesions: npt.NDArray[np.bool_]


def lesions(rng: np.random.Generator, label: str, levels: int) -> npt.NDArray[np.bool_]:
    """Return which neighbouring levels have lesions: 10 to 100 % of them; none of a normal study."""
    found = np.zeros(levels, np.bool_)
    if label != NORMAL:
        count = max(1, round(float(rng.uniform(0.1, 1.0)) * levels))
        first = int(rng.integers(0, levels - count + 1))
        found[first : first + count] = True
    return found


def made(reader: Reader, patients: int, levels: int, seed: int) -> Iterator[Phantom]:
    """Yield one study of each patient, the classes in turn, as a slice model reads it; equal seeds give equal ones."""
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        label = LABELS[number % len(LABELS)]
        where = lesions(rng, label, levels)
        effect = rng.normal(0, reader.patient)
        alarms = np.interp(np.linspace(0, 1, levels), np.linspace(0, 1, len(reader.alarms)), reader.alarms)
        sees = rng.random(levels) < _shifted(np.where(where, reader.sensitivity, alarms), effect)
        wrong = np.where(rng.random(levels) < 0.7, 1, 2)
        shown = np.where(where, LABELS.index(label), wrong)
        logits = rng.normal(UNSURE, SPREAD, (levels, len(LABELS)))
        logits[:, 0] = 0
        logits[np.arange(levels), shown] = np.where(sees, rng.normal(SURE, SPREAD, levels), logits[:, 1])
        powers = np.exp(logits)
        yield phantom(number, label, where, powers / powers.sum(axis=1, keepdims=True))


def phantom(
    number: int,
    label: str,
    where: npt.NDArray[np.bool_],
    probabilities: Floats,
    abstained: Sequence[bool] | None = None,
) -> Phantom:
    """Return a study of one series from what a model says of its slices, from apex to base."""
    slices = tuple(
        Slice(
            upload_id=f"{number}-{at:04}",
            series=f"1.{number}",
            probabilities=dict(zip(LABELS, row.tolist(), strict=True)),
            position=float(at),
            abstained=bool(abstained and abstained[at]),
        )
        for at, row in enumerate(probabilities)
    )
    study = Study(line=number + 1, patient=f"p{number:05}", label=label, slices=slices)
    return Phantom(study, float(where.mean()), where)


def _shifted(shares: Floats, effect: float) -> Floats:
    """Return shares whose logits are moved by a patient's effect."""
    odds = np.clip(shares, 1e-3, 1 - 1e-3)
    return odds * np.exp(effect) / (1 - odds + odds * np.exp(effect))
