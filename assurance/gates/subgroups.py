"""Judges a model by subgroups: one that reads all alike, and one that fails in a single subgroup.

Each patient has an age band, a sex and a scanner's maker, drawn by chance: fourteen subgroups, most of them small. The
model that fails does so in the largest age band.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np

from assurance.gates.generator import Setting
from assurance.gates.service import DIGEST, population_of
from functions.domain import evaluation, promotion
from functions.domain.promotion import Thresholds
from functions.domain.verdict import ModelProblem
from model_code.evaluation.document import TestSet, build

SHARES = {
    "AgeBand": {"20-29": 1, "30-39": 1, "40-49": 2, "50-59": 3, "60-69": 4, "70-79": 3, "80-89": 1, "90+": 1},
    "PatientSex": {"F": 1, "M": 1},
    "Manufacturer": {"SIEMENS": 3, "GE": 3, "Philips": 2, "other": 1},
}
ATTRIBUTE, FAILING = "AgeBand", "60-69"


@dataclass(frozen=True)
class Refused:
    """How often the gate refuses a model for a subgroup, and how often it would by the subgroups' values alone."""

    by_gate: float
    by_value: float


def refused(setting: Setting, patients: int, loss: float, draws: int, seed: int) -> Refused:
    """Return how often a model is refused whose balanced accuracy is lower by ``loss`` in one subgroup."""
    by_gate = by_value = 0
    for draw in range(draws):
        population, cases = population_of(setting, patients, seed, draw)
        cases = _with_attributes(cases, np.random.default_rng([seed, patients, draw, 2]))
        model = population.failing_in(_of(cases, FAILING), setting.balanced_accuracy, loss)
        document = build(DIGEST, cases, model, None)
        read, limits = evaluation.parse(json.dumps(document).encode(), DIGEST), Thresholds()
        reasons = promotion.shortcomings(read, limits, against_champion=False)
        by_gate += any(one.code is ModelProblem.SUBGROUP_COLLAPSE for one in reasons)
        by_value += _collapses(read.candidate, limits)
    return Refused(by_gate / draws, by_value / draws)


def _collapses(measured: evaluation.Measured, limits: Thresholds) -> bool:
    """Return whether a subgroup's value alone, which chance moves, is too far below that of all."""
    least = (measured.balanced_accuracy.value or 0.0) - limits.max_subgroup_drop
    judged = (one for one in measured.subgroups if one.patients >= limits.subgroup_min_patients)
    return any(one.balanced_accuracy.value is not None and one.balanced_accuracy.value < least for one in judged)


def _with_attributes(cases: TestSet, rng: np.random.Generator) -> TestSet:
    """Return the test part with an age band, a sex and a maker for each patient."""
    people = int(cases.patients.max()) + 1
    drawn = {
        name: rng.choice(list(shares), people, p=np.array(list(shares.values())) / sum(shares.values()))
        for name, shares in SHARES.items()
    }
    return replace(cases, attributes={name: found[cases.patients].tolist() for name, found in drawn.items()})


def _of(cases: TestSet, value: str) -> np.ndarray:
    found: np.ndarray = np.array(cases.attributes[ATTRIBUTE]) == value
    return found
