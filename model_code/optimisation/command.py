"""The command ``optimise``: adds faster backends to a candidate, and the choice of the one that is to serve."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model_code import snapshot
from model_code.artifacts import artifact, metadata, seal
from model_code.artifacts.packing import pack, unpack
from model_code.backends import gpu, known_answer
from model_code.backends.backend import BackendName, Serving, ValidatedBackend
from model_code.backends.processor import adds_bytes_exactly, multiplies_bfloat16
from model_code.backends.torch_backend import TorchBackend
from model_code.container import Processing
from model_code.errors import BackendError, OptimisationError
from model_code.optimisation import stability
from model_code.optimisation.choice import choose, images_per_second
from model_code.optimisation.export import export
from model_code.optimisation.slices import prepare, spread
from model_code.optimisation.trial import HeldOut, Trial, try_bfloat16, try_fp32, try_half, try_int8
from model_code.reading import decoder_process
from model_code.snapshot import Case, Snapshot, Split
from model_code.transforms import Preprocessing

# Statistics of activations settle with about a hundred slices.
CALIBRATION_SLICES = 128
# All are in memory: 1 GB at 512 x 512.
HELD_OUT_SLICES = 1_000

log = logging.getLogger("model_code.optimisation")


def optimise(paths: Processing, *, trained: str, quantise: bool) -> str:
    """Write the candidate's model.tar.gz again with the backends that held here on slices held out of training.

    Returns the SHA-256 (hex) of the new file. ``trained``: what the training job reported of the files that it wrote
    (`model_code.artifacts.seal`). ``quantise``: whether a backend of fewer bits is tried. Raises SnapshotError for
    other slices than the snapshot's, ArtifactError for an unsound candidate, and OptimisationError for another
    candidate than the trained one, or if there is nothing to validate a backend with.
    """
    taken = snapshot.read(paths.snapshot)
    held_out = [case for split in (Split.VALIDATION, Split.TEST) for case in taken.of(split)]
    if not held_out:
        raise OptimisationError(
            "The snapshot has no validation or test slices to validate a backend on; label more patients."
        )
    if not paths.candidate.is_file():
        raise OptimisationError(f"There is no {paths.candidate.name} in the input named candidate.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unpack(paths.candidate, folder)
        _check(folder, trained)
        serving, validation = _validate(folder, paths.slices, taken, held_out, quantise=quantise)
        about = folder / artifact.METADATA
        about.write_text(
            metadata.with_serving(about.read_text(encoding="utf-8"), serving, validation), encoding="utf-8"
        )
        paths.optimised.parent.mkdir(parents=True, exist_ok=True)
        pack(folder, paths.optimised)
    written = artifact.sha256_of(paths.optimised)
    log.info("serving_backend=%s %s sha256=%s", serving.chosen, validation["reason"], written)
    return written


def _check(model_dir: Path, trained: str) -> None:
    """Raise OptimisationError unless the files are those that the training job wrote."""
    found, expected = seal.seal_of(model_dir), seal.parse(trained)
    if found != expected:
        raise OptimisationError(
            "The candidate is not what the training job wrote: its files have the digest "
            f"{'-'.join(map(str, found))}, the job said {'-'.join(map(str, expected))}. Find out who replaced the "
            "training job's model.tar.gz, and train again."
        )


def _validate(
    model_dir: Path, slices: Path, taken: Snapshot, held_out: Sequence[Case], *, quantise: bool
) -> tuple[Serving, dict[str, Any]]:
    """Try the backends, add the files of those that may serve to ``model_dir``; return what metadata.json records."""
    decoder_process.SHARED.start()
    about = artifact.describe(model_dir)
    network = artifact.load_network(model_dir, about)
    trained = gpu.in_fp32(network) if gpu.is_available() else TorchBackend(network)
    cases = spread(held_out, HELD_OUT_SLICES)
    images = prepare(slices, cases, about.preprocessing)
    targets = np.array([about.labels.index(case.label) for case in cases], np.intp)
    typical = artifact.load_typicality(model_dir, about)
    reference = HeldOut.answered_by(trained, images, targets, about.temperature, typical)

    trials: list[Trial] = []
    calibration: list[Case] = []
    problems: dict[BackendName, Sequence[str]] = {}
    if not gpu.is_available():
        model = export(network, about.preprocessing.image_size)
        trials += [try_fp32(model, reference)]
        if quantise and multiplies_bfloat16():
            trials += try_bfloat16(model, reference)
        if quantise:
            calibration = spread(taken.of(Split.TRAIN), CALIBRATION_SLICES)
            # Beside bfloat16 int8 with its other layers in fp32 would be the slower one.
            name = BackendName.OPENVINO_INT8_BF16 if multiplies_bfloat16() else BackendName.OPENVINO_INT8
            trials += try_int8(name, model, prepare(slices, calibration, about.preprocessing), reference)
    elif quantise:
        try:
            trials += [try_half(network, about.preprocessing.image_size, reference)]
        except BackendError as error:
            problems[BackendName.TORCH_HALF] = [str(error)]
    # Where a backend of fewer bits is tried, its deviation is shown beside the network's own.
    moved = stability.measure(trained, slices, cases, about.preprocessing, reference) if quantise and trials else {}
    last = {trial.name: trial for trial in trials}
    held = {name: trial for name, trial in last.items() if not trial.problems}
    speeds = images_per_second(
        {BackendName.TORCH: trained} | {name: trial.backend for name, trial in held.items()}, images[0]
    )
    problems |= {name: trial.problems for name, trial in last.items() if trial.problems}
    name, reason = choose(speeds, problems)
    kept = {other: trial for other, trial in held.items() if other in name.and_more_trusted}
    validated = {other: _add(model_dir, trial, about.preprocessing) for other, trial in kept.items()}
    serving = Serving(chosen=name, validated=validated)
    return serving, {
        "reason": reason + stability.sentence(moved),
        "stability": moved,
        "calibration_slices": len(calibration),
        "images_per_second": {str(name): round(speed, 2) for name, speed in speeds.items()},
        "trials": [trial.as_dict() for trial in trials],
    }


def _add(model_dir: Path, trial: Trial, preprocessing: Preprocessing) -> ValidatedBackend:
    """Write a backend's files below ``model_dir`` and return its record."""
    digests: dict[str, str] = {}
    for name, content in zip(trial.name.files, trial.files(), strict=True):
        (model_dir / name).parent.mkdir(exist_ok=True)
        (model_dir / name).write_bytes(content)
        digests[name] = artifact.sha256(content)
    exact_bytes = trial.name.has_bytes and adds_bytes_exactly()
    answered = known_answer.answer(trial.backend, preprocessing)
    return ValidatedBackend(files_sha256=digests, known_answer=answered, exact_bytes=exact_bytes)
