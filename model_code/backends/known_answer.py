"""The known-answer test: a made slice whose logits are recorded when a model is packed and compared when it is loaded.

The comparison finds a model that is served by code which windows, resizes or computes differently from the code that
trained it. It also warms the network up before the first request.
"""

from __future__ import annotations

import numpy as np

from model_code.backends.backend import Backend, Outputs
from model_code.errors import ArtifactError
from model_code.reading.ct_slice import CTSlice
from model_code.reading.geometry import Turn
from model_code.transforms import Preparation, Preprocessing

ROWS, COLUMNS = 512, 480
NOISE_HU = 200.0
PADDED, HEIGHT = 160, 1.25  # pixels of the padded corner's side; a pixel's height in widths
# Relative to the largest logit, but at least 1. Processors and GPUs round differently by up to about 0.005; a window
# moved by 100 HU, turned axes or another interpolation change far more than this. Calibrated logits of up to 5 that
# differ by this move no probability by more than 0.05, which is what `optimise` allows a backend on any slice.
TOLERANCE = 0.02


def make(preparation: Preparation) -> CTSlice:
    """Return a pattern from -1,400 to 400 HU with fine noise, taller than wide; a turned axis changes it.

    Where the preparation is to turn, resample and fill slices, this one is turned, uneven and padded.
    """
    row = np.linspace(0, 1, ROWS)[:, None]
    column = np.linspace(0, 1, COLUMNS)[None, :]
    pattern = np.sin(9 * row + 4 * column**2) * np.cos(23 * row * column) * 900 - 500
    hounsfield = (pattern + np.random.default_rng(0).normal(0, NOISE_HU, pattern.shape)).astype(np.float32)
    if preparation is Preparation.AS_STORED:
        return CTSlice(hounsfield)
    padding = np.zeros(hounsfield.shape, np.bool_)
    padding[:PADDED, :PADDED] = True
    return CTSlice(hounsfield, turn=Turn(exchange=True, reverse_rows=True), pixel_height=HEIGHT, padding=padding)


def answer(backend: Backend, preprocessing: Preprocessing) -> tuple[float, ...]:
    """Return the logits for the made slice; unlike probabilities, they still differ where the network is certain."""
    return _logits(_outputs(backend, preprocessing))


def verify(backend: Backend, preprocessing: Preprocessing, expected: tuple[float, ...]) -> Outputs:
    """Return the answer; raise ArtifactError unless it is ``expected``, the logits recorded when it was packed."""
    outputs = _outputs(backend, preprocessing)
    answered = _logits(outputs)
    difference = max(abs(now - then) for now, then in zip(answered, expected, strict=True))
    if not difference <= TOLERANCE * max(1.0, *map(abs, expected)):  # phrased so that NaN counts as a difference
        raise ArtifactError(
            f"The model answers the known slice with the logits {_short(answered)}, but answered {_short(expected)} "
            "when it was packed: this image prepares or computes slices differently. Train it again with this image."
        )
    return outputs


def _outputs(backend: Backend, preprocessing: Preprocessing) -> Outputs:
    return backend.outputs(preprocessing.prepare(make(preprocessing.preparation))[None])


def _logits(outputs: Outputs) -> tuple[float, ...]:
    return tuple(outputs.logits[0].tolist())


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.4f}" for value in values)
