"""The test slices that the candidate is most wrong about, with a small picture of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_code.dicom import decode, read_instance
from model_code.evaluation.document import Answers, TestSet
from model_code.evaluation.report.png import encode
from model_code.snapshot import Case
from model_code.transforms import Preprocessing

MOST = 12
# Rows and columns of a picture, in the lung window of the default preprocessing.
PICTURE_SIZE = 224


@dataclass(frozen=True)
class WorstCase:
    """One mistake: the manifest's ``line``, what it is and was taken for, both probabilities, and a PNG of it."""

    line: int
    truth: str
    predicted: str
    truth_probability: float
    predicted_probability: float
    picture: bytes


def worst_cases(cases: Sequence[Case], test: TestSet, answers: Answers, folder: Path) -> list[WorstCase]:
    """The mistakes with the least probability for the true class, the worst first, MOST of them at most.

    ``cases`` are those of ``test``, in its order; their files are in ``folder`` and could be decoded before.
    """
    rows = np.arange(len(cases))
    of_truth = answers.probabilities[rows, test.targets]
    of_predicted = answers.probabilities[rows, answers.predicted]
    mistakes = rows[answers.predicted != test.targets]
    worst = mistakes[np.argsort(of_truth[mistakes], kind="stable")][:MOST]
    return [
        WorstCase(
            line=cases[index].line,
            truth=test.labels[test.targets[index]],
            predicted=test.labels[answers.predicted[index]],
            truth_probability=float(of_truth[index]),
            predicted_probability=float(of_predicted[index]),
            picture=_picture(cases[index].read(folder)),
        )
        for index in worst.tolist()
    ]


def _picture(body: bytes) -> bytes:
    image = Preprocessing(image_size=PICTURE_SIZE).prepare(decode(read_instance(body)))[0]
    return encode((image * 255).round().byte().numpy())
