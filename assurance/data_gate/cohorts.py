"""Cohorts of patients with made tags: how often the audit refuses them, or says that it could not refuse any."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from functions.domain.leakage import AcquisitionLimits
from model_code.audit.confounding import Tags, Unit, confounding
from model_code.audit.document import SUBJECTS

LABELS = ("normal", "cap", "covid")
LIMITS = AcquisitionLimits()
Draw = Callable[[np.random.Generator, int], Mapping[str, str | float]]


def _of_scanner(scanner: int, rng: np.random.Generator) -> Tags:
    return {
        "Manufacturer": f"M{scanner}",
        "ManufacturerModelName": f"M{scanner}.{rng.integers(2)}",
        "ConvolutionKernel": f"K{scanner}{rng.integers(2)}",
        "KVP": float(rng.choice([100, 120, 140])),
        "SliceThickness": float(rng.choice([1.0, 2.0, 5.0])),
        "XRayTubeCurrent": float(rng.integers(40, 260)),
        "PixelSpacing": float(rng.uniform(0.6, 0.9)),
    }


def _scanners(*shares: float) -> Draw:
    """Return a cohort in which so many of each class come from the first of two scanners."""
    return lambda rng, label: _of_scanner(int(rng.random() >= shares[label]), rng)


def _apart(keyword: str, spread: float, *means: float) -> Draw:
    return lambda rng, label: {keyword: float(round(rng.normal(means[label], spread)))}


def _sexes(*shares: float) -> Draw:
    return lambda rng, label: {"PatientSex": "F" if rng.random() < shares[label] else "M"}


def _sound(rng: np.random.Generator, _label: int) -> Tags:
    return {
        **_of_scanner(int(rng.integers(2)), rng),
        "PatientSex": str(rng.choice(["F", "M"])),
        "PatientAge": float(rng.integers(20, 90)),
        "ImagePositionPatient": float(rng.uniform(-400, 0)),
        "InstanceNumber": float(rng.integers(1, 150)),
        "BodyShare": round(float(rng.uniform(0.3, 0.8)), 2),
        "CornerHU": float(rng.choice([-1000, -1024])),
    }


COHORTS: dict[str, Draw] = {
    "sound": lambda _rng, _label: {},
    "scanner A for 75, 50 and 25 %": _scanners(0.75, 0.5, 0.25),
    "scanner A for 100, 50 and 0 %": _scanners(1, 0.5, 0),
    "a scanner for each class": lambda rng, label: _of_scanner(label, rng),
    "age 40, 55, 70 (SD 12)": _apart("PatientAge", 12, 40, 55, 70),
    "90, 50 and 10 % women": _sexes(0.9, 0.5, 0.1),
    "level apart by 2 SD": _apart("ImagePositionPatient", 40, -280, -200, -120),
    "corners of -1024 in one class": lambda _rng, label: {"CornerHU": -1024.0 if label else -1000.0},
}


def refused(cohort: str, patients: int, cohorts: int, seed: int) -> tuple[float, float]:
    """Return how often cohorts of so many patients a class are refused by any subject, and called underpowered."""
    draw, refusals, blind = COHORTS[cohort], 0, 0
    for number in range(cohorts):
        rng = np.random.default_rng([seed, patients, number])
        units = [
            Unit({**_sound(rng, label), **draw(rng, label)}, LABELS[label])
            for label in range(len(LABELS))
            for _ in range(patients)
        ]
        names = [str(one) for one in range(len(units))]
        found = [confounding(units, names, LABELS, number, keywords) for keywords in SUBJECTS.values()]
        refusals += any(
            one["PValue"] <= LIMITS.max_acquisition_p_value
            and one["BalancedAccuracy"] - one["Chance"] >= LIMITS.min_acquisition_gain
            for one in found
        )
        blind += any(one["AttainablePValue"] > LIMITS.max_acquisition_p_value for one in found)
    return refusals / cohorts, blind / cohorts
