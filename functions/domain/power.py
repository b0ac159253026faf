"""How often a candidate of a given quality passes the comparison with the champion, by simulation.

Patients are made as ``assurance.gates`` makes them: each slice has a normal score per class, which the slices of a
patient share in part, and which both models share in part, since they err on the same patients. The time is bounded:
one pool of patients is made for each difference, and the test sets are drawn from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist

from functions.domain.against import FIRST_INTERVAL
from functions.domain.small_samples import FOLD_SPREAD, lowest_difference

SHARED = 0.6  # of a score's variance, between two models
INTRA_PATIENT = 0.6  # of a score's variance, between the slices of one patient
SLICES = 10  # of a patient at most: more change little
POOL = 1_500  # patients
DRAWS = 400  # test sets
MOST_DRAWN = 300_000  # patients in all
BEST = 0.99  # the greatest balanced accuracy that is looked at


def power(
    patients: Sequence[int],
    slices: int,
    *,
    accuracy: float,
    better: float,
    margin: float,
    folds: int = 0,
    seed: int = 0,
) -> float:
    """Return the share of runs in which a candidate is shown to be no worse than the champion by more than ``margin``.

    At the level of the first attempt on these patients, with a champion that was trained on none of them.

    ``patients``: of each class in the test part, two at least, with so many ``slices`` each. ``accuracy`` is the
    champion's balanced accuracy, and the candidate's is greater by ``better``. By ``folds`` it is that of their
    training, around which the models of the folds differ; 0: each is one model.
    """
    draw = random.Random(seed)  # noqa: S311  (a simulation, no secret)
    pool = _differences(len(patients), min(slices, SLICES), accuracy, min(accuracy + better, BEST), draw)
    draws = max(20, min(DRAWS, MOST_DRAWN // sum(patients)))
    passed = 0
    for _ in range(draws):
        apart = draw.gauss(0, FOLD_SPREAD * math.sqrt(2 / folds)) if folds else 0.0
        drawn = [draw.choices(pool, k=count) for count in patients]
        passed += lowest_difference(drawn, FIRST_INTERVAL, folds) + apart >= -margin
    return passed / draws


def _differences(classes: int, slices: int, champion: float, candidate: float, draw: random.Random) -> list[float]:
    """Return for each patient of a pool how many more of their slices the candidate reads right, as a share."""
    shifts = [_shift(one, classes) for one in (candidate, champion)]
    normal, found = draw.gauss, []
    of_patient, of_slice = math.sqrt(INTRA_PATIENT), math.sqrt(1 - INTRA_PATIENT)
    common, own = math.sqrt(SHARED), math.sqrt(1 - SHARED)
    for _ in range(POOL):
        patient = [[normal(0, 1) for _ in range(classes)] for _ in range(3)]  # of both models, and of each alone
        more = 0
        for _ in range(slices):
            both, *alone = [[of_patient * each + of_slice * normal(0, 1) for each in row] for row in patient]
            for row, shift, sign in zip(alone, shifts, (1, -1), strict=True):
                scores = [common * ours + own * theirs for ours, theirs in zip(both, row, strict=True)]
                more += sign * (scores[0] + shift > max(scores[1:]))
        found.append(more / slices)
    return found


def _shift(accuracy: float, classes: int) -> float:
    """Return by how much the true class's score is greater in a model with this balanced accuracy."""
    normal = NormalDist()
    grid = [step / 50 for step in range(-300, 301)]
    weights = [normal.pdf(one) / 50 for one in grid]
    low, high = -10.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        right = sum(
            weight * normal.cdf(one + middle) ** (classes - 1) for one, weight in zip(grid, weights, strict=True)
        )
        low, high = (middle, high) if right < accuracy else (low, middle)
    return high
