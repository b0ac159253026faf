"""A backend may not abstain on other slices than the trained network, but for those near the threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_code.backends.backend import Backend, Outputs
from model_code.optimisation.trial import SCORE_BAND, HeldOut
from model_code.typicality import Record, Typicality

# The features are one number and its score: the mean is 0, the scale 1, and the component another axis.
SPACE = np.array([[0, 0], [1, 1], [0, 1]], np.float32)
TYPICALITY = Typicality(SPACE, Record(sha256="", threshold=1.0, patients=6, slices=6))
IMAGES = [torch.zeros(1, 2, 2)] * 3


class Scoring(Backend):
    """Answers the slices with features of these scores, or with none."""

    def __init__(self, *scores: float) -> None:
        self._scores = scores

    def outputs(self, images: torch.Tensor) -> Outputs:
        features = torch.tensor([[score, 0.0] for score in self._scores], dtype=torch.double)
        return Outputs(torch.zeros(len(images), 2, dtype=torch.double), features if self._scores else None)


def problems(backend: Backend) -> list[str]:
    trained = Scoring(0.5, 1.0 - SCORE_BAND / 2, 3.0)
    held_out = HeldOut.answered_by(trained, IMAGES, np.zeros(3, np.intp), 1.0, TYPICALITY)
    return held_out.abstention_problems(backend.outputs(torch.stack(IMAGES)))


@pytest.mark.parametrize("scores", [(0.5, 0.95, 3.0), (0.9, 1.05, 1.1)])
def test_the_same_abstentions_but_for_those_near_the_threshold_are_no_problem(scores: tuple[float, ...]) -> None:
    assert problems(Scoring(*scores)) == []


@pytest.mark.parametrize(("scores", "number"), [((1.1, 0.95, 3.0), 1), ((1.1, 1.1, 0.9), 2)])
def test_another_abstention_is_a_problem(scores: tuple[float, ...], number: int) -> None:
    assert problems(Scoring(*scores)) == [f"{number} of 3 slices are abstained on by one of the two alone"]


def test_a_backend_without_features_may_not_serve_a_model_that_abstains() -> None:
    assert problems(Scoring()) == ["it returns no features, by which the model abstains"]
