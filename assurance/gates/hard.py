"""Judges candidates that fail wholly on some patients, all of one class, and read all others as the champion does.

Which patients these are is drawn by chance for each test part, so it may have few or none of them. Such a patient's
slices are read as if they were of the next class.
"""

from __future__ import annotations

import numpy as np

from assurance.gates.generator import Population, Setting
from assurance.gates.service import service_of

HARD_CLASS = 0


def share_of(setting: Setting, worse: float) -> float:
    """Return the share of one class's patients on whom a candidate fails that is ``worse`` in balanced accuracy."""
    classes = len(setting.shares)
    lost = setting.balanced_accuracy - (1 - setting.balanced_accuracy) / (classes - 1)  # of a slice that it fails on
    return worse * classes / lost


def promoted(setting: Setting, patients: int, worse: float, tries: int, draws: int, seed: int) -> float:
    """Return how often one of several trainings is promoted that all fail on the same patients."""
    passed = 0
    for draw in range(draws):
        population, service = service_of(setting, patients, seed, draw)
        hard = _drawn(population, share_of(setting, worse), [seed, patients, draw, 1])
        passed += any(service.try_one(population.failing_on(hard, setting.balanced_accuracy)) for _ in range(tries))
    return passed / draws


def _drawn(population: Population, share: float, seed: list[int]) -> frozenset[int]:
    """Return which of the class's patients are hard."""
    of_class = population.patients_of(HARD_CLASS)
    chosen = np.random.default_rng(seed).random(len(of_class)) < share
    return frozenset(of_class[chosen].tolist())
