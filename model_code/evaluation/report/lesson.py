"""Puts the validation part's figure beside the test part's: the one chose the model, the other has never been seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Less than this is no lesson: the validation figure is the best of all epochs, so it is a little too good by itself.
CLEAR = 0.1


@dataclass(frozen=True)
class Lesson:
    """``validation``: the balanced accuracy on the patients that the model was chosen on; None where unknown.

    ``right`` of ``slices`` test slices are read right. ``sentence`` says what to make of both; ``alarming`` is whether
    the test part contradicts the validation part.
    """

    validation: float | None
    right: int
    slices: int
    sentence: str
    alarming: bool


def lesson_of(document: Mapping[str, Any]) -> Lesson:
    """Return the comparison of both parts."""
    candidate = document["Candidate"]
    matrix, found = candidate["ConfusionMatrix"], candidate["BalancedAccuracy"]
    slices, right = sum(map(sum, matrix)), sum(row[index] for index, row in enumerate(matrix))
    recalls = [row[index] / sum(row) for index, row in enumerate(matrix) if sum(row)]
    here = sum(recalls) / len(recalls)
    validation = document["Training"]["Validation"]["BalancedAccuracy"]
    if validation is None:
        sentence = "The model's artifact says nothing of its validation part, so there is nothing to compare with."
        return Lesson(None, right, slices, sentence, alarming=False)
    alarming = validation - here > CLEAR
    if alarming:
        shown = f"read {right} of {slices} slices right" if found["Value"] is None else f"it is {found['Value']:.2f}"
        sentence = (
            f"Do not believe the first figure. It is {validation:.2f} on the patients that the model was chosen on, "
            f"and on others {shown}. Such a model has learnt its patients, not the disease."
        )
    else:
        sentence = (
            "The first figure is of patients that chose the best epoch, so it is too good by itself. Only the second "
            "says how the model does on patients that it has not seen."
        )
    return Lesson(validation, right, slices, sentence, alarming)
