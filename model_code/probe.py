"""A made slice whose answer is recorded when a model is packed and compared when it is loaded.

The comparison finds a model that is served by code that windows, resizes or computes differently from the code that
trained it, and it warms the network up before the first request.
"""

from __future__ import annotations

import numpy as np
from monai.transforms.compose import Compose
from torch import nn

from model_code import transforms
from model_code.dicom import HounsfieldArray
from model_code.errors import ArtifactError
from model_code.network import probabilities

ROWS, COLUMNS = 512, 480
# Processors and GPUs round differently, by about 1e-4; another window, size or network changes far more than this.
TOLERANCE = 0.02


def make() -> HounsfieldArray:
    """A smooth pattern from -1,400 to 400 HU, taller than wide, with no symmetry that could hide a turned axis."""
    row = np.linspace(0, 1, ROWS, dtype=np.float64)[:, None]
    column = np.linspace(0, 1, COLUMNS, dtype=np.float64)[None, :]
    pattern = np.sin(9 * row + 4 * column**2) * np.cos(23 * row * column)
    return (pattern * 900 - 500).astype(np.float32)


def answer(network: nn.Module, pipeline: Compose) -> tuple[float, ...]:
    """The network's probabilities for the made slice."""
    image = transforms.apply(pipeline, make())
    return tuple(probabilities(network, image[None])[0].tolist())


def verify(network: nn.Module, pipeline: Compose, expected: tuple[float, ...]) -> None:
    """Raise ArtifactError unless the network answers as it did when it was packed."""
    answered = answer(network, pipeline)
    difference = max(abs(now - then) for now, then in zip(answered, expected, strict=True))
    if not difference <= TOLERANCE:  # so written that a NaN is a difference
        raise ArtifactError(
            f"The model answers the probe slice with {_short(answered)}, but answered {_short(expected)} when it was "
            "packed: this image prepares or computes slices differently. Train the model again with this image."
        )


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.4f}" for value in values)
