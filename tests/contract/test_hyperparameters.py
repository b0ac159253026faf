"""What the command line takes as a hyperparameter is what the training takes."""

from __future__ import annotations

import dataclasses

from functions.domain.request import FOREIGN_PREFIX, HYPERPARAMETERS, WORKFLOWS_OWN
from model_code.training import hyperparameters


def test_the_names_are_the_ones_of_the_training() -> None:
    known = {field.name for field in dataclasses.fields(hyperparameters.Hyperparameters)}
    assert known == {*HYPERPARAMETERS, *WORKFLOWS_OWN}
    assert hyperparameters.FOREIGN_PREFIX == FOREIGN_PREFIX
