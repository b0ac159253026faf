"""Makes the backends and compares each with the trained network on held-out slices."""

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
from model_code.backends.backend import Backend, BackendName, Outputs
from model_code.backends.openvino_backend import OpenVinoBackend, ov
from model_code.backends.processor import adds_bytes_exactly
from model_code.errors import BackendError
from model_code.evaluation.bootstrap import Floats, Ints
from model_code.optimisation.bfloat16 import in_bfloat16
from model_code.optimisation.export import serialised
from model_code.optimisation.parity import BF16, FP32, HALF, INT8, Bounds, Comparison, compare
from model_code.optimisation.quantisation import layers, quantise, restored
from model_code.typicality import Typicality

BATCH = 16
# The largest share of layers that may stay in fp32: with more, next to nothing is gained.
MOST_FP32_SHARE = 0.73
# Stop if a probability differs by more than so many times what any may: a further step never recovered from that.
GIVE_UP_FACTOR = 3
# A backend may change whether a slice is abstained on only where its score lies within this share of the threshold.
SCORE_BAND = 0.1

log = logging.getLogger("model_code.optimisation")


@dataclass(frozen=True)
class HeldOut:
    """Prepared slices held out of training, their class indices, and the trained network's answers.

    ``scores`` are those of ``typicality``; both are None for a model that abstains on nothing.
    """

    images: Sequence[torch.Tensor]
    targets: Ints
    temperature: float
    reference: Floats
    typicality: Typicality | None = None
    scores: torch.Tensor | None = None

    @classmethod
    def answered_by(
        cls,
        trained: Backend,
        images: Sequence[torch.Tensor],
        targets: Ints,
        temperature: float,
        typicality: Typicality | None = None,
    ) -> HeldOut:
        """Return the slices with the answers of the ``trained`` network as the reference."""
        answered = outputs(trained, images)
        scores = typicality.scores(answered.features) if typicality and answered.features is not None else None
        return cls(images, targets, temperature, probabilities(answered, temperature), typicality, scores)

    def compare(self, answered: Outputs, bounds: Bounds) -> Comparison:
        """Compare a backend's probabilities with the reference."""
        return compare(self.reference, probabilities(answered, self.temperature), self.targets, bounds)

    def abstention_problems(self, answered: Outputs) -> list[str]:
        """Return a sentence if a backend abstains on other slices than the trained network, beyond SCORE_BAND."""
        if self.typicality is None or self.scores is None:
            return []
        if answered.features is None:
            return ["it returns no features, by which the model abstains"]
        threshold = self.typicality.record.threshold
        changed = (self.typicality.scores(answered.features) > threshold) != (self.scores > threshold)
        clear = int((changed & ((self.scores - threshold).abs() >= SCORE_BAND * threshold)).sum())
        return [f"{clear} of {len(self.images)} slices are abstained on by one of the two alone"] if clear else []


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One backend that was tried; ``problems``: why it may not serve.

    ``files`` makes the files that it adds to the artifact; ``kept``: how many first layers are not in its fewest bits.
    """

    name: BackendName
    files: Callable[[], Sequence[bytes]]
    backend: Backend
    comparison: Comparison
    problems: Sequence[str]
    kept: int

    def as_dict(self) -> dict[str, Any]:
        """Return the record for metadata.json."""
        return {
            "form": str(self.name),
            "layers_kept_in_fp32": self.kept,
            **self.comparison.as_dict(),
            "problems": list(self.problems),
        }


def grid_problems(answered: Outputs, bounds: Bounds) -> list[str]:
    """Return a sentence if the mean of a backend's grid is not its logit: the grid would explain another answer."""
    if answered.grid is None:
        return []
    apart = float((answered.grid.mean(dim=(2, 3)) - answered.logits).abs().max())
    if apart <= bounds.grid:
        return []
    return [f"a logit and the mean of its grid differ by {apart:.2g}, at most {bounds.grid:g} is allowed"]


def try_fp32(model: ov.Model, held_out: HeldOut) -> Trial:
    """Try the exported network in fp32."""
    return _try_openvino(BackendName.OPENVINO_FP32, model, held_out, FP32, kept=len(layers(model)))


def try_int8(
    name: BackendName, model: ov.Model, calibration_images: Sequence[torch.Tensor], held_out: HeldOut
) -> Iterator[Trial]:
    """Yield trials of ``model`` in 8 bits but for ever more first layers; last, the fewest that may serve.

    ``name`` says whether these and what is between the layers are in fp32 or, but for the first layer, in bfloat16.
    The model is quantised once, and each trial takes its first layers from ``model``.
    """
    quantised = quantise(model, calibration_images, exact_bytes=adds_bytes_exactly())

    def attempt(kept: int) -> Trial:
        tried = restored(quantised, model, layers(model)[:kept])
        mixed = in_bfloat16(tried, 1) if name.precision == "bf16" else tried
        return _try_openvino(name, mixed, held_out, INT8, kept)

    return _fewest(attempt, round(MOST_FP32_SHARE * len(layers(model))), INT8)


def try_bfloat16(model: ov.Model, held_out: HeldOut) -> Iterator[Trial]:
    """Yield trials of ``model`` in bfloat16 with ever more first layers in fp32; last, the fewest that may serve."""

    def attempt(kept: int) -> Trial:
        return _try_openvino(BackendName.OPENVINO_BF16, in_bfloat16(model, kept), held_out, BF16, kept)

    return _fewest(attempt, round(MOST_FP32_SHARE * len(layers(model))), BF16)


def _fewest(attempt: Callable[[int], Trial], most: int, bounds: Bounds) -> Iterator[Trial]:
    """Yield the trials until one holds of whose layers the fewest are kept; it is the last.

    The first layer always stays: a slice itself in few bits is the coarsest step, and every later layer inherits its
    error. Of two numbers of layers the larger one is expected to hold where the smaller one does, so it is searched by
    halves. None is beyond ``most``, and none is tried after one that is hopelessly far off.
    """
    failed, kept = 0, 1
    while (trial := attempt(kept)).problems:
        yield trial
        if kept >= most or not trial.comparison.largest_difference <= GIVE_UP_FACTOR * bounds.most:
            return
        failed, kept = kept, min(2 * kept, most)
    while trial.kept - failed > 1:
        fewer = attempt((failed + trial.kept) // 2)
        if fewer.problems:
            failed = fewer.kept
            yield fewer
        else:
            yield trial
            trial = fewer
    yield trial


def try_half(network: nn.Module, image_size: int, held_out: HeldOut) -> Trial:
    """Try the network in half precision on this machine's GPU; raises BackendError if the GPU cannot compute it."""
    try:
        return _try(BackendName.TORCH_HALF, gpu.in_half(network, image_size), held_out, HALF, kept=0, files=tuple)
    except RuntimeError as error:
        raise BackendError(f"the GPU cannot compute it: {error}") from error


def outputs(backend: Backend, images: Sequence[torch.Tensor]) -> Outputs:
    """Return what a backend computes for prepared slices."""
    batches = [torch.stack(list(images[at : at + BATCH])) for at in range(0, len(images), BATCH)]
    return Outputs.joined([backend.outputs(batch) for batch in batches])


def probabilities(answered: Outputs, temperature: float) -> Floats:
    """Return the calibrated probabilities: N x classes."""
    found: Floats = calibration.probabilities(answered.logits, temperature).numpy()
    return found


def _try_openvino(name: BackendName, model: ov.Model, held_out: HeldOut, bounds: Bounds, kept: int) -> Trial:
    return _try(name, OpenVinoBackend(model, name.precision), held_out, bounds, kept, files=partial(serialised, model))


def _try(
    name: BackendName,
    backend: Backend,
    held_out: HeldOut,
    bounds: Bounds,
    kept: int,
    files: Callable[[], Sequence[bytes]],
) -> Trial:
    answered = outputs(backend, held_out.images)
    comparison = held_out.compare(answered, bounds)
    trial = Trial(
        name=name,
        files=files,
        backend=backend,
        comparison=comparison,
        problems=[
            *comparison.problems(bounds),
            *held_out.abstention_problems(answered),
            *grid_problems(answered, bounds),
        ],
        kept=kept,
    )
    log.info("tried %s", " ".join(f"{name}={value}" for name, value in trial.as_dict().items()))
    return trial
