"""Measures how far the trained network's own answers move under changes that no reader of the slice would see.

It is the evidence for the bounds of ``parity``: a backend may differ from the network by no more than a fraction of
what the network differs from itself where a patient lies a pixel aside, or the scan is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_code.backends.backend import Backend, Outputs
from model_code.optimisation.parity import INT8
from model_code.optimisation.slices import prepare
from model_code.optimisation.trial import HeldOut, outputs
from model_code.reading.ct_slice import CTSlice
from model_code.snapshot import Case
from model_code.transforms import Preprocessing

# The noise of a chest CT is 10 to 40 HU.
NOISE_HU = 10.0
# Changed slices that are prepared and computed at once, to bound their memory.
AT_ONCE = 64

log = logging.getLogger("model_code.optimisation")


def shifted(ct_slice: CTSlice) -> CTSlice:
    """Return the slice moved by one stored pixel along its rows; its first column is repeated."""
    return replace(
        ct_slice,
        hounsfield=_moved(ct_slice.hounsfield),
        padding=None if ct_slice.padding is None else _moved(ct_slice.padding),
    )


def noisy(ct_slice: CTSlice) -> CTSlice:
    """Return the slice with normal noise of NOISE_HU; the same noise for every slice of the same sides."""
    drawn = np.random.default_rng(0).normal(0, NOISE_HU, ct_slice.hounsfield.shape).astype(np.float32)
    return replace(ct_slice, hounsfield=ct_slice.hounsfield + drawn)


CHANGES: Mapping[str, Callable[[CTSlice], CTSlice]] = {"one_pixel_of_shift": shifted, "10_HU_of_noise": noisy}


def measure(
    trained: Backend,
    folder: Path,
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    held_out: HeldOut,
) -> dict[str, dict[str, Any]]:
    """Return for each of CHANGES how far the ``trained`` network's answers for the changed slices differ.

    ``held_out`` has its answers for the slices of ``cases`` as they are. The figures are those of a backend's trial,
    by the same code and with the bounds of fewer bits.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, change in CHANGES.items():
        answered = [
            outputs(trained, prepare(folder, cases[at : at + AT_ONCE], preprocessing, change))
            for at in range(0, len(cases), AT_ONCE)
        ]
        found[name] = held_out.compare(Outputs.joined(answered), INT8).as_dict()
        log.info("stability %s", " ".join(f"{key}={value}" for key, value in ({"change": name} | found[name]).items()))
    return found


def sentence(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words how far the network's own answers moved, "" if that was not measured."""
    if not measured:
        return ""
    moved = (
        f"with {name.replace('_', ' ')} by at most {one['max_probability_difference']:.2g} "
        f"({one['p99_probability_difference']:.2g} on 99 % of the slices)"
        for name, one in measured.items()
    )
    return f" The trained network's own probabilities change {', '.join(moved)}."


def _moved(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels[:, :1], pixels[:, :-1]], axis=1)
