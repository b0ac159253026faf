"""Makes one form after another and tries each on held-out slices against the network as it was trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from model_code import calibration
from model_code.backends import gpu
from model_code.backends.backend import Backend, BackendName
from model_code.backends.openvino_backend import OpenVinoBackend, ov
from model_code.backends.processor import adds_bytes_exactly
from model_code.errors import BackendError
from model_code.evaluation.bootstrap import Floats, Ints
from model_code.optimisation.export import serialised
from model_code.optimisation.parity import FP32, HALF, INT8, Bounds, Comparison, compare
from model_code.optimisation.quantisation import layers, quantise

BATCH = 16
# How many layers, from the input on, an int8 form leaves in fp32, as parts of all: the next is tried where one fails.
# Always the first: nothing is coarser than a slice itself in 8 bits, and every later layer inherits the error.
FP32_SHARE_STEPS = (0.01, 0.32, 0.73)
# How many times the bound a probability may differ for the next rung to be tried: it has never helped threefold.
GIVE_UP_FACTOR = 3

log = logging.getLogger("model_code.optimisation")


@dataclass(frozen=True)
class HeldOut:
    """Slices that training did not learn from: prepared, with class indices, and what the trained network answers."""

    images: Sequence[torch.Tensor]
    targets: Ints
    temperature: float
    reference: Floats

    @classmethod
    def answered_by(
        cls, trained: Backend, images: Sequence[torch.Tensor], targets: Ints, temperature: float
    ) -> HeldOut:
        """Ask the network as it was trained."""
        return cls(images, targets, temperature, probabilities(trained, images, temperature))

    def compare(self, backend: Backend, bounds: Bounds) -> Comparison:
        """Ask a form the same."""
        answered = probabilities(backend, self.images, self.temperature)
        return compare(self.reference, answered, self.targets, bounds.tie_band)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One form that was tried; ``problems``: why it may not serve.

    ``files``: what it adds to the artifact, made when asked; ``kept``: how many of its layers stay in fp32.
    """

    name: BackendName
    files: Callable[[], Sequence[bytes]]
    backend: Backend
    comparison: Comparison
    problems: Sequence[str]
    kept: int

    def as_dict(self) -> dict[str, Any]:
        """For metadata.json."""
        return {
            "form": str(self.name),
            "layers_kept_in_fp32": self.kept,
            **self.comparison.as_dict(),
            "problems": list(self.problems),
        }


def try_fp32(model: ov.Model, held_out: HeldOut) -> Trial:
    """Try the exported network as it is."""
    return _try_openvino(BackendName.OPENVINO_FP32, model, held_out, FP32, kept=len(layers(model)))


def try_int8(model: ov.Model, calibration_images: Sequence[torch.Tensor], held_out: HeldOut) -> Iterator[Trial]:
    """Try quantised copies of ``model``, one for each rung, until one has no problem or none can be hoped for."""
    names = layers(model)
    for rung in FP32_SHARE_STEPS:
        kept = max(1, round(rung * len(names)))
        quantised = quantise(model, calibration_images, names[:kept], exact_bytes=adds_bytes_exactly())
        trial = _try_openvino(BackendName.OPENVINO_INT8, quantised, held_out, INT8, kept)
        yield trial
        if not trial.problems or not trial.comparison.probability_difference <= GIVE_UP_FACTOR * INT8.probability:
            return


def try_half(network: nn.Module, image_size: int, held_out: HeldOut) -> Trial:
    """Try the network in half precision on this machine's GPU; raises BackendError where the GPU cannot compute it."""
    try:
        return _try(BackendName.TORCH_HALF, gpu.in_half(network, image_size), held_out, HALF, kept=0, files=tuple)
    except RuntimeError as error:
        raise BackendError(f"the GPU cannot compute it: {error}") from error


def probabilities(backend: Backend, images: Sequence[torch.Tensor], temperature: float) -> Floats:
    """The calibrated probabilities of prepared slices: N x classes."""
    batches = [torch.stack(list(images[at : at + BATCH])) for at in range(0, len(images), BATCH)]
    logits = torch.cat([backend.logits(batch) for batch in batches])
    answered: Floats = calibration.probabilities(logits, temperature).numpy()
    return answered


def _try_openvino(name: BackendName, model: ov.Model, held_out: HeldOut, bounds: Bounds, kept: int) -> Trial:
    return _try(name, OpenVinoBackend(model), held_out, bounds, kept, files=partial(serialised, model))


def _try(
    name: BackendName,
    backend: Backend,
    held_out: HeldOut,
    bounds: Bounds,
    kept: int,
    files: Callable[[], Sequence[bytes]],
) -> Trial:
    comparison = held_out.compare(backend, bounds)
    trial = Trial(
        name=name,
        files=files,
        backend=backend,
        comparison=comparison,
        problems=comparison.problems(bounds),
        kept=kept,
    )
    log.info("tried %s", " ".join(f"{name}={value}" for name, value in trial.as_dict().items()))
    return trial
