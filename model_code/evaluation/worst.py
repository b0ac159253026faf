"""Selects the test slices with the candidate's worst mistakes, each with a small picture if it may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_code.evaluation.document import Predictions, TestSet
from model_code.evaluation.pictures import BurnedIn, ReportPictures, picture_of
from model_code.snapshot import Case

MOST = 12


@dataclass(frozen=True)
class WorstCase:
    """One mistake: the manifest's ``line``, true and predicted class with their probabilities, and a PNG.

    ``picture`` is b"" if it may not be shown.
    """

    line: int
    truth: str
    predicted: str
    truth_probability: float
    predicted_probability: float
    burned_in: BurnedIn
    picture: bytes


def worst_cases(
    cases: Sequence[Case], test: TestSet, predictions: Predictions, folder: Path, pictures: ReportPictures
) -> list[WorstCase]:
    """Return at most MOST mistakes, those with the lowest probability for the true class, the worst first.

    ``cases`` are those of ``test``, in its order; their files in ``folder`` have been decoded before.
    """
    rows = np.arange(len(cases))
    of_truth = predictions.probabilities[rows, test.targets]
    of_predicted = predictions.probabilities[rows, predictions.predicted]
    mistakes = rows[predictions.predicted != test.targets]
    worst = mistakes[np.argsort(of_truth[mistakes], kind="stable")][:MOST]
    shown: list[WorstCase] = []
    for index in worst.tolist():
        stated, picture = picture_of(cases[index], folder, pictures)
        shown.append(
            WorstCase(
                line=cases[index].line,
                truth=test.labels[test.targets[index]],
                predicted=test.labels[predictions.predicted[index]],
                truth_probability=float(of_truth[index]),
                predicted_probability=float(of_predicted[index]),
                burned_in=stated,
                picture=picture,
            )
        )
    return shown
