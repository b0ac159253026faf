"""The table of all test slices: one line for each, in groups of patients, with classes by which a style sheet filters.

The page runs no script. Its filters are radio buttons and the address's fragment, which CSS selects by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_code import calibration
from model_code.evaluation.document import Predictions, TestSet
from model_code.snapshot import Case

# A line takes about 300 bytes. Of more slices those are shown first that a person looks for.
MOST_SHOWN = 20_000
SHORTEST = 12
"""Digits of a patient's hash, if these distinguish the patients."""


@dataclass(frozen=True)
class ShownSlice:
    """One slice: the manifest's ``line``, indices of its true and its predicted class, and their probabilities."""

    line: int
    truth: int
    predicted: int
    truth_probability: float
    predicted_probability: float
    abstained: bool
    unsure: bool

    @property
    def kinds(self) -> str:
        """The classes of its line in the table, for the filters."""
        right = "right" if self.truth == self.predicted else "wrong"
        marks = [mark for mark, applies in (("abstained", self.abstained), ("unsure", self.unsure)) if applies]
        return " ".join([f"t{self.truth}", f"r{self.predicted}", right, *marks])

    @property
    def words(self) -> str:
        """What is said of it: wrong, and that the model abstains in service, or is unsure."""
        found = (("wrong", self.truth != self.predicted), ("abstained", self.abstained), ("unsure", self.unsure))
        return ", ".join(word for word, applies in found if applies)


@dataclass(frozen=True)
class ShownPatient:
    """A patient by the beginning of the keyed hash, and the slices, by their lines."""

    patient: str
    slices: Sequence[ShownSlice]


def shown_slices(cases: Sequence[Case], test: TestSet, predictions: Predictions) -> list[ShownPatient]:
    """Return all slices by patient; of more than MOST_SHOWN those that are wrong, abstained on or unsure come first.

    ``cases`` are those of ``test``, in its order.
    """
    abstained = np.zeros(len(cases), np.bool_) if predictions.abstained is None else predictions.abstained
    found: list[tuple[str, ShownSlice]] = []
    for index, case in enumerate(cases):
        row = predictions.probabilities[index].tolist()
        truth, predicted = int(test.targets[index]), int(predictions.predicted[index])
        unsure = not abstained[index] and calibration.is_tie(row)
        one = ShownSlice(case.line, truth, predicted, row[truth], row[predicted], bool(abstained[index]), unsure)
        found.append((case.patient, one))
    kept = sorted(found, key=lambda each: not each[1].words)[:MOST_SHOWN]
    groups: dict[str, list[ShownSlice]] = {}
    for patient, one in sorted(kept, key=lambda each: (each[0], each[1].line)):
        groups.setdefault(patient, []).append(one)
    length = _distinct(groups)
    return [ShownPatient(patient[:length], slices) for patient, slices in groups.items()]


def _distinct(patients: dict[str, list[ShownSlice]]) -> int:
    """Return how many digits distinguish the patients."""
    longest = max(map(len, patients), default=SHORTEST)
    lengths = range(min(SHORTEST, longest), longest + 1)
    return next(one for one in lengths if len({patient[:one] for patient in patients}) == len(patients))
