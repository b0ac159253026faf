"""Reads the hyperparameters of a training job from SageMaker's strings."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_code.artifacts.metadata import LONGEST_TEXT
from model_code.backends.networks import DEFAULT, NETWORKS
from model_code.errors import TrainingError

# DenseNet halves its input five times and then still needs pixels to average.
SMALLEST_IMAGE = 64
NAME_SIGNS = "_.:/=+-@"
# SageMaker's SDK adds its own hyperparameters with this prefix.
FOREIGN_PREFIX = "sagemaker_"


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """``image_size`` in pixels; ``learning_rate`` is the highest of the schedule; ``batch_size`` is a worker's.

    Memory grows with the batch; speed does so only on a GPU. Four slices of 512 x 512 take 4 GB, and without a GPU are
    trained on as fast as eight. On a GPU use 16 or more.

    ``study_sensitivity`` is the least for which a class's threshold for studies is chosen; 0 for the best sum of
    sensitivity and specificity.
    """

    epochs: int = 40
    batch_size: int = 4
    learning_rate: float = 1e-3
    image_size: int = 512
    network: str = DEFAULT
    seed: int = 0
    study_sensitivity: float = 0.0
    model_name: str = "chest-ct"
    model_version: str = "0.1.0"


def read_hyperparameters(path: Path) -> Hyperparameters:
    """Read hyperparameters.json, in which all are optional; raises one TrainingError with every problem."""
    try:
        given = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise TrainingError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise TrainingError(f"{path.name} is a {type(given).__name__}, not an object of strings.")
    readers = {field.name: _reader(field) for field in dataclasses.fields(Hyperparameters)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for given_name, text in given.items():
        name = given_name.replace("-", "_")  # the spelling of SageMaker's own algorithms
        if name in readers:
            try:
                values[name] = readers[name](_plain(str(text)))
            except ValueError as error:
                problems.append(f"{name}: {error}")
        elif not given_name.startswith(FOREIGN_PREFIX):
            problems.append(f"{given_name} is not one of {', '.join(readers)}")
    hyperparameters = Hyperparameters(**values)
    problems += _out_of_range(hyperparameters)
    if problems:
        raise TrainingError(f"Hyperparameters: {'; '.join(problems)}.")
    return hyperparameters


def _reader(field: dataclasses.Field[Any]) -> Any:
    return {int: int, float: float}.get(type(field.default), str)


def _plain(text: str) -> str:
    """Undo the JSON encoding that SageMaker's SDK applies to each value: ``"\\"covid\\""`` is ``covid``."""
    return str(json.loads(text)) if text.startswith('"') and text.endswith('"') and len(text) > 1 else text


def _out_of_range(values: Hyperparameters) -> list[str]:
    problems = []
    if values.epochs < 1:
        problems.append(f"epochs is {values.epochs}, must be at least 1")
    if values.batch_size < 2:
        problems.append(f"batch_size is {values.batch_size}, must be at least 2: batch normalisation compares slices")
    if not 0 < values.learning_rate < 1:
        problems.append(f"learning_rate is {values.learning_rate}, must lie between 0 and 1")
    if values.image_size < SMALLEST_IMAGE:
        problems.append(f"image_size is {values.image_size}, must be at least {SMALLEST_IMAGE}")
    if values.network not in NETWORKS:
        problems.append(f"network is {values.network!r}, must be one of {', '.join(NETWORKS)}")
    if values.seed < 0:
        problems.append(f"seed is {values.seed}, must be at least 0")
    if not 0 <= values.study_sensitivity < 1:
        problems.append(f"study_sensitivity is {values.study_sensitivity}, must be from 0 to less than 1")
    problems += [
        f"{name} is {getattr(values, name)[: LONGEST_TEXT + 1]!r}, must have 1 to {LONGEST_TEXT} letters, digits, "
        f"spaces and signs of {NAME_SIGNS}, as the registry takes"
        for name in ("model_name", "model_version")
        if not _is_name(getattr(values, name))
    ]
    return problems


def _is_name(text: str) -> bool:
    """Return whether the registry takes a text as a property of a model: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*."""
    of_the_pattern = (unicodedata.category(one)[0] in "LZN" or one in NAME_SIGNS for one in text)
    return 0 < len(text) <= LONGEST_TEXT and all(of_the_pattern)
